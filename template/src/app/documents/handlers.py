"""Job handlers for documents: ingestion, and cleanup after deletion."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from app.database import Database
from app.documents import repository
from app.documents.chunking import Chunk
from app.documents.models import Document, DocumentStatus
from app.documents.ports import FileStore, PassageVector, VectorStore
from app.documents.reading import Reading, read
from app.documents.service import file_key
from app.documents.settings import DocumentsSettings
from app.errors import DropJobError, RetryJobError, UnavailableError
from app.inference.embedder import Embedder
from app.jobs.ports import Attempt, ReportProgress
from app.observability.spans import span

# Passages between two progress reports: large enough that the cost of reporting is negligible.
STRIDE = 128
# Passages whose vectors are deleted in one call.
DELETED_AT_ONCE = 1000
OVERLAPPED = "Another attempt at this job has stored passages meanwhile."


@dataclass(frozen=True, slots=True)
class IngestDocument:
    """Parses, chunks, embeds and indexes a document; idempotent.

    Ingestions of a document may overlap: with a later job's, or with another attempt's of the same job whose worker
    lost its lease. Each gives its passages new ids, so none overwrites another's vectors. Each stores the passages
    before their vectors, and a document becomes ready only when all its stored passages have vectors.
    """

    database: Database
    files: FileStore
    vectors: VectorStore
    embedder: Embedder
    settings: DocumentsSettings

    async def run(self, attempt: Attempt, report: ReportProgress) -> None:
        """Index a document: from its file to searchable passages.

        Raises:
            DropJobError: the file is missing, unreadable or has no text.
            RetryJobError: another attempt at this job overlapped with this one.
        """
        document_id = UUID(attempt.payload["document_id"])
        document = await self._begin(attempt, document_id)
        if document is None:
            return
        chunks = await self._read(document)
        if not await self._store(attempt, document_id, chunks):
            return
        await self._index(attempt, document_id, chunks, report)
        await self._publish(attempt, document_id, chunks[0].id)

    async def give_up(self, attempt: Attempt, reason: str) -> None:
        """Record the reason and the status: ready if an earlier ingestion is still complete, otherwise failed."""
        document_id = UUID(attempt.payload["document_id"])
        indexed = await self._list_indexed(attempt, document_id)
        async with self.database.transaction() as session:
            document = await repository.lock_for_job(session, attempt.job_id, document_id)
            if document is not None:
                is_whole = await repository.passage_ids(session, document_id) <= indexed
                is_searchable = is_whole and document.embedding_model == self.embedder.model.identity
                status = DocumentStatus.READY if is_searchable else DocumentStatus.FAILED
                await repository.update_for_job(session, attempt.job_id, document_id, status=status, error=reason)
        if document is None:
            await self._remove_stale(attempt, document_id)

    async def _list_indexed(self, attempt: Attempt, document_id: UUID) -> set[UUID]:
        """Return the passages that have vectors; none if the store is unavailable, as the failure must be recorded."""
        with suppress(UnavailableError):
            return await self.vectors.list_passages(owner_id=attempt.owner_id, document_id=document_id)
        return set()

    async def _begin(self, attempt: Attempt, document_id: UUID) -> Document | None:
        """Mark the document as processing; None if it was deleted, belongs to a later job, or is ready already."""
        # It is ready if an earlier attempt was killed after its last step; then it must stay searchable.
        done = DocumentStatus.READY, self.embedder.model.identity
        async with self.database.transaction() as session:
            document = await repository.lock_for_job(session, attempt.job_id, document_id)
            if document is not None:
                if (document.status, document.embedding_model) == done:
                    return None
                status = DocumentStatus.PROCESSING
                return await repository.update_for_job(session, attempt.job_id, document_id, status=status, error=None)
        # The later job's cleanup may have run before an attempt at this job wrote its last vectors.
        await self._remove_stale(attempt, document_id)
        return None

    async def _remove_stale(self, attempt: Attempt, document_id: UUID) -> None:
        """Delete the vectors of passages that no longer exist; safe alongside other ingestions."""
        indexed = await self.vectors.list_passages(owner_id=attempt.owner_id, document_id=document_id)
        # In this order: passages are stored before their vectors, so one that is missing now was deleted.
        async with self.database.transaction() as session:
            stale = list(indexed - await repository.passage_ids(session, document_id))
        for start in range(0, len(stale), DELETED_AT_ONCE):
            await self.vectors.delete_passages(stale[start : start + DELETED_AT_ONCE])

    async def _store(self, attempt: Attempt, document_id: UUID, chunks: Sequence[Chunk]) -> bool:
        async with self.database.transaction() as session:
            document = await repository.lock_for_job(session, attempt.job_id, document_id)
            if document is None:
                return False
            if document.status == DocumentStatus.READY:
                raise RetryJobError(OVERLAPPED)
            await repository.replace_passages(session, document, chunks)
        return True

    async def _read(self, document: Document) -> list[Chunk]:
        try:
            async with self.files.as_path(file_key(document.owner_id, document.id)) as path:
                reading = Reading(
                    path=path,
                    media_type=document.media_type,
                    max_pages=self.settings.max_pages,
                    max_characters=self.settings.max_characters,
                    passage_tokens=min(self.settings.passage_tokens, self.embedder.passage_tokens),
                    model=self.embedder.model.folder,
                    seconds=self.settings.reading_seconds,
                )
                with span("read document", {"app.media_type": document.media_type}):
                    chunks = await read(reading)
        except FileNotFoundError as error:
            raise DropJobError("The uploaded file is no longer there.") from error
        if not chunks:
            raise DropJobError("No text was found in the file.")
        return chunks

    async def _index(
        self, attempt: Attempt, document_id: UUID, chunks: Sequence[Chunk], report: ReportProgress
    ) -> None:
        """Store the passages' vectors; stop as soon as another ingestion has replaced the passages."""
        await self._remove_stale(attempt, document_id)
        owner_id = attempt.owner_id
        model = self.embedder.model.identity
        for start in range(0, len(chunks), STRIDE):
            part = chunks[start : start + STRIDE]
            embeddings = await self.embedder.embed_passages([piece.text for piece in part], owner=owner_id)
            if not await self._is_current(attempt, chunks[0].id):
                return
            vectors = [
                PassageVector(piece.id, document_id, owner_id, model, vector.tolist())
                for piece, vector in zip(part, embeddings.vectors, strict=True)
            ]
            with span("store vectors", {"app.vectors": len(vectors)}):
                await self.vectors.upsert(vectors)
            await report((start + len(part)) / len(chunks))

    async def _is_current(self, attempt: Attempt, passage_id: UUID) -> bool:
        async with self.database.transaction() as session:
            return await repository.is_current(session, attempt.job_id, passage_id)

    async def _publish(self, attempt: Attempt, document_id: UUID, passage_id: UUID) -> None:
        """Mark the document as ready if this passage, and so all of this ingestion's, is still current."""
        model = self.embedder.model.identity
        async with self.database.transaction() as session:
            is_latest = await repository.lock_for_job(session, attempt.job_id, document_id) is not None
            is_current = await repository.is_current(session, attempt.job_id, passage_id)
            if is_current:
                ready = {"status": DocumentStatus.READY, "error": None, "embedding_model": model}
                await repository.update_for_job(session, attempt.job_id, document_id, **ready)
        if is_current:
            return
        await self._remove_stale(attempt, document_id)
        if is_latest:
            raise RetryJobError(OVERLAPPED)


@dataclass(frozen=True, slots=True)
class PurgeDocument:
    """Deletes the vectors and the file of a deleted document."""

    files: FileStore
    vectors: VectorStore

    async def run(self, attempt: Attempt, report: ReportProgress) -> None:
        """Delete the vectors and the file."""
        document_id = UUID(attempt.payload["document_id"])
        await self.vectors.delete_document(owner_id=attempt.owner_id, document_id=document_id)
        await self.files.delete(file_key(attempt.owner_id, document_id))

    async def give_up(self, attempt: Attempt, reason: str) -> None:
        """Do nothing: the job's error tells operators what is left."""
