"""Deletes an account with all its data, in the database and outside."""

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
    """Deletes accounts; if a store was away, running it again finishes the deletion.

    Attributes:
        forget_answers: forgets the kept answers of an account; None if none are kept.
        believed_seconds: seconds for which other processes may still believe that the account is active.
    """

    database: Database
    files: FileStore
    vectors: VectorStore
    forget_answers: Callable[[UUID], Awaitable[None]] | None
    believed_seconds: float

    async def delete(self, account_id: UUID, report: Callable[[str], None]) -> None:
        """Lock an account, stop its jobs, remove its files, vectors and answers, and then its rows.

        Args:
            account_id: whose account.
            report: called with a line for each step that takes time.

        Raises:
            UnavailableError: something that holds a part of it is out of reach; the account stays locked.
        """
        async with self.database.transaction() as session:
            await repository.set_active(session, account_id, active=False)
        if self.believed_seconds:
            report(f"Waiting {self.believed_seconds:g} s, until every process knows that the account is locked …")
            await asyncio.sleep(self.believed_seconds)
        is_gone = False
        while not is_gone:
            documents, unsettled = await self._stop_jobs(account_id, report)
            await self._purge(account_id, documents.keys() | unsettled, report)
            if self.forget_answers is not None:
                await self.forget_answers(account_id)
            # An upload that was broken off between its file and its row has left a file that no row names.
            await self.files.delete_all(account_id)
            is_gone = await self._remove(account_id, documents)

    async def _stop_jobs(self, account_id: UUID, report: Callable[[str], None]) -> tuple[Documents, Collection[UUID]]:
        """Cancel all jobs and wait until no worker has one in hand; gives the documents, and those left to clean up."""
        reported = 0
        while True:
            async with self.database.transaction() as session:
                # Listed first: what is begun from here on changes the list, and so is noticed in the end.
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
        """Delete the rows, unless a document was added, deleted or indexed anew since: that has to be purged, too."""
        async with self.database.transaction() as session:
            await repository.hold(session, account_id)
            if await repository.list_documents(session, account_id) != purged:
                return False
            await repository.remove(session, account_id)
        return True
