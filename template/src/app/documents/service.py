"""The use cases of documents: upload, list, change, reindex, delete."""

from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.caller import Caller, Scope
from app.database import Database
from app.documents import repository
from app.documents.media_types import detect_media_type
from app.documents.models import Document, DocumentStatus
from app.documents.ports import FileStore
from app.documents.settings import DocumentsSettings
from app.documents.uploads import Upload
from app.errors import NotFoundError, StorageExhaustedError, UnprocessableError
from app.jobs.models import Job
from app.jobs.service import JobService
from app.pages import PageRequest

INGEST = "documents.ingest"
PURGE = "documents.purge"


def file_key(owner_id: UUID, document_id: UUID) -> str:
    """Return the key of a document's file in the file store."""
    return f"{owner_id}/{document_id}"


@dataclass(frozen=True, slots=True)
class NewFile:
    """An uploaded file; `head` is its first bytes, `chunks` are all of them."""

    name: str
    head: bytes
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class DocumentService:
    """Stores and manages documents; jobs index them and clean up."""

    database: Database
    files: FileStore
    jobs: JobService
    settings: DocumentsSettings

    async def upload(
        self, file: NewFile, tags: Sequence[str] = (), *, idempotency_key: str | None = None, caller: Caller
    ) -> tuple[Document, Job | None]:
        """Store a file and enqueue its indexing; a repeated idempotency key returns the first document.

        Raises:
            UnsupportedMediaTypeError: the file type is not supported.
            PayloadTooLargeError: the file exceeds `max_bytes`.
            StorageExhaustedError: the caller's files would exceed `max_stored_bytes`.
            UnprocessableError: the file is empty, or the idempotency key was used for another file.
        """
        caller.require(Scope.DOCUMENTS_WRITE)
        if not file.head:
            raise UnprocessableError("The file is empty.")
        media_type = detect_media_type(file.head, file.name)
        document_id = uuid4()
        key = file_key(caller.id, document_id)
        upload = Upload(file.chunks, self.settings.max_bytes)
        await self.files.save(key, aiter(upload))
        row = {
            "id": document_id,
            "owner_id": caller.id,
            "filename": file.name,
            "media_type": media_type,
            "size": upload.size,
            "sha256": upload.sha256,
            "tags": list(tags),
            "idempotency_key": idempotency_key,
        }
        try:
            document, job = await self._record(row, caller)
        except BaseException:
            await self.files.delete(key)
            raise
        if document.id != document_id:
            await self.files.delete(key)
        elif job is not None:
            await self.jobs.enqueue(job.id)
        return document, job

    async def find_uploaded(self, idempotency_key: str, *, caller: Caller) -> Document | None:
        """Find the document uploaded with this idempotency key; None if there is none, or it was deleted."""
        caller.require(Scope.DOCUMENTS_READ)
        async with self.database.transaction() as session:
            return await repository.find_by_idempotency_key(session, caller.id, idempotency_key)

    async def get(self, document_id: UUID, *, caller: Caller) -> Document:
        """Return a document.

        Raises:
            NotFoundError: the caller has no such document.
        """
        caller.require(Scope.DOCUMENTS_READ)
        async with self.database.transaction() as session:
            return _found(await repository.find(session, caller.id, document_id))

    async def list_for(self, page: PageRequest, *, caller: Caller) -> tuple[list[Document], str | None]:
        """List the caller's documents, newest first."""
        caller.require(Scope.DOCUMENTS_READ)
        async with self.database.transaction() as session:
            return await repository.list_for(session, caller.id, page)

    async def change_tags(self, document_id: UUID, tags: Sequence[str], *, caller: Caller) -> Document:
        """Replace a document's tags.

        Raises:
            NotFoundError: the caller has no such document.
        """
        caller.require(Scope.DOCUMENTS_WRITE)
        async with self.database.transaction() as session:
            return _found(await repository.change(session, caller.id, document_id, tags=list(tags)))

    async def reindex(self, document_id: UUID, *, caller: Caller) -> tuple[Document, Job]:
        """Enqueue the reindexing of a document, for instance after a change of the embedding model.

        Raises:
            NotFoundError: the caller has no such document.
        """
        caller.require(Scope.DOCUMENTS_WRITE)
        async with self.database.transaction() as session:
            _found(await repository.find(session, caller.id, document_id))
            job = await self._record_ingestion(session, caller, document_id)
            changed = await repository.change(
                session, caller.id, document_id, job_id=job.id, status=DocumentStatus.RECEIVED, error=None
            )
            document = _found(changed)
        await self.jobs.enqueue(job.id)
        return document, job

    async def reindex_all(self, *, except_model: str | None) -> int:
        """Enqueue the reindexing of all accounts' ready and failed documents; return how many. For operators.

        With `except_model`, only those that were indexed with another model.
        """
        async with self.database.transaction() as session:
            settled = await repository.list_settled(session, except_model=except_model)
        count = 0
        for owner_id, document_id in settled:
            with suppress(NotFoundError):  # deleted meanwhile
                await self.reindex(document_id, caller=Caller(id=owner_id))
                count += 1
        return count

    async def delete(self, document_id: UUID, *, caller: Caller) -> None:
        """Delete a document at once; a job deletes its vectors and its file.

        Raises:
            NotFoundError: the caller has no such document.
        """
        caller.require(Scope.DOCUMENTS_WRITE)
        async with self.database.transaction() as session:
            if not await repository.remove(session, caller.id, document_id):
                raise NotFoundError("There is no such document.")
            payload = {"document_id": str(document_id)}
            job = await self.jobs.record(session, owner_id=caller.id, kind=PURGE, payload=payload)
        await self.jobs.enqueue(job.id)

    async def _record(self, row: dict[str, Any], caller: Caller) -> tuple[Document, Job | None]:
        """Insert the row and its job in one transaction, or return those of the same idempotency key."""
        most = self.settings.max_stored_bytes
        async with self.database.transaction() as session:
            used = await repository.count_bytes(session, caller.id) if most else 0
            added = await repository.add(session, row)
            if added is None:
                key = row["idempotency_key"]
                document = _found(await repository.find_by_idempotency_key(session, caller.id, key))
                if document.sha256 != row["sha256"]:
                    raise UnprocessableError("This idempotency key was already used for another file.")
                return document, await self.jobs.find(session, document.job_id)
            if most and used + added.size > most:
                raise StorageExhaustedError(
                    f"Your files take {used:,} of the {most:,} bytes that an account may store, and this one has "
                    f"{added.size:,}: delete some first."
                )
            job = await self._record_ingestion(session, caller, added.id)
            return _found(await repository.change(session, caller.id, added.id, job_id=job.id)), job

    async def _record_ingestion(self, session: AsyncSession, caller: Caller, document_id: UUID) -> Job:
        payload = {"document_id": str(document_id)}
        return await self.jobs.record(session, owner_id=caller.id, kind=INGEST, payload=payload)


def _found(document: Document | None) -> Document:
    if document is None:
        raise NotFoundError("There is no such document.")
    return document
