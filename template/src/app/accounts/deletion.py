"""Deletion of an account with all its data, in the database and in other stores."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from uuid import UUID

from app.accounts import repository
from app.database import Database
from app.documents.ports import FileStore, VectorStore
from app.documents.service import file_key

POLL_SECONDS = 0.5

Documents = Mapping[UUID, UUID | None]


@dataclass(frozen=True, slots=True)
class AccountDeletion:
    """Deletes accounts; if a store was unavailable, running it again completes the deletion.

    Attributes:
        forget_answers: deletes the cached answers of an account; None if answers are not cached.
        cache_seconds: how long other processes may still have the account cached as active.
    """

    database: Database
    files: FileStore
    vectors: VectorStore
    forget_answers: Callable[[UUID], Awaitable[None]] | None
    cache_seconds: float

    async def delete(self, account_id: UUID, report: Callable[[str], None]) -> None:
        """Lock an account, stop its jobs, delete its files, vectors and cached answers, and then its rows.

        Args:
            account_id: the account to delete.
            report: called with a line for each step that takes time.

        Raises:
            UnavailableError: one of the stores cannot be reached; the account stays locked.
        """
        async with self.database.transaction() as session:
            await repository.set_active(session, account_id, active=False)
        if self.cache_seconds:
            report(f"Waiting {self.cache_seconds:g} s, until every process knows that the account is locked …")
            await asyncio.sleep(self.cache_seconds)
        is_gone = False
        while not is_gone:
            documents, unsettled = await self._stop_jobs(account_id, report)
            await self._purge(account_id, documents.keys() | unsettled, report)
            if self.forget_answers is not None:
                await self.forget_answers(account_id)
            # An interrupted upload may have left a file without a row.
            await self.files.delete_all(account_id)
            is_gone = await self._remove(account_id, documents)

    async def _stop_jobs(self, account_id: UUID, report: Callable[[str], None]) -> tuple[Documents, Collection[UUID]]:
        """Cancel all jobs and wait for the workers; return the documents, and further ids that may need cleanup."""
        reported = 0
        while True:
            async with self.database.transaction() as session:
                # Listed first: `_remove` notices any change from here on.
                documents = await repository.list_documents(session, account_id)
                await repository.cancel_jobs(session, account_id)
                held = await repository.count_held_jobs(session, account_id)
                unsettled = await repository.list_unsettled(session, account_id)
            if not held:
                return documents, unsettled
            if held != reported:
                report(f"Waiting until workers have let go of its jobs, {held} by now …")
                reported = held
            await asyncio.sleep(POLL_SECONDS)

    async def _purge(self, account_id: UUID, document_ids: Collection[UUID], report: Callable[[str], None]) -> None:
        if document_ids:
            report(f"Removing the files and vectors of its documents, {len(document_ids)} in all …")
        for document_id in document_ids:
            await self.vectors.delete_document(owner_id=account_id, document_id=document_id)
            await self.files.delete(file_key(account_id, document_id))

    async def _remove(self, account_id: UUID, purged: Documents) -> bool:
        """Delete the rows; return False if a document was added, deleted or reindexed since, which needs purging."""
        async with self.database.transaction() as session:
            await repository.lock(session, account_id)
            if await repository.list_documents(session, account_id) != purged:
                return False
            await repository.remove(session, account_id)
        return True
