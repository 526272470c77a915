"""Jobs on documents: reading them into the index, and cleaning up after them."""

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
from app.documents.service import DocumentsSettings, file_key
from app.errors import DropJobError, RetryJobError, UnavailableError
from app.inference.embedder import Embedder
from app.jobs.ports import Attempt, ReportProgress
from app.observability.spans import span

# Passages between two progress reports: large enough that indexing, not reporting, takes the time.
STRIDE = 128
# Passages whose vectors are deleted at a time.
DELETED_AT_ONCE = 1000
OVERLAPPED = "Another attempt at this job has stored passages meanwhile."


@dataclass(frozen=True, slots=True)
class IngestDocument:
    """Parses, chunks, embeds and indexes a document. Done twice, it leaves what doing it once leaves.

    Ingestions of a document may overlap: a later job's, another attempt's of the same job, or that of one whose worker
    had fallen silent. Each gives its passages new identifiers, so none writes over another's vectors; each stores them
    before their vectors, and the document is ready only with the vectors of those that are stored.
    """

    database: Database
    files: FileStore
    vectors: VectorStore
    embedder: Embedder
    settings: DocumentsSettings

    async def run(self, attempt: Attempt, report: ReportProgress) -> None:
        """Take a document from its file to searchable passages.

        Raises:
            DropJobError: the file holds nothing that can be indexed.
            RetryJobError: another attempt at this job has overlapped with this one.
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
        """Show the owner why the document cannot be searched, or can be as it was indexed before."""
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
        """List the passages that have vectors; none where that cannot be told, since the end must be recorded."""
        with suppress(UnavailableError):
            return await self.vectors.list_passages(owner_id=attempt.owner_id, document_id=document_id)
        return set()

    async def _begin(self, attempt: Attempt, document_id: UUID) -> Document | None:
        """Take the document on; None if it was deleted, is to be indexed by another job by now, or is ready."""
        # Ready, if an earlier attempt was killed after its last step: then searches must not miss the document again.
        done = DocumentStatus.READY, self.embedder.model.identity
        async with self.database.transaction() as session:
            document = await repository.lock_for_job(session, attempt.job_id, document_id)
            if document is not None:
                if (document.status, document.embedding_model) == done:
                    return None
                status = DocumentStatus.PROCESSING
                return await repository.update_for_job(session, attempt.job_id, document_id, status=status, error=None)
        # The clean-up of whoever came between may have run before this job's last vectors were written.
        await self._remove_stale(attempt, document_id)
        return None

    async def _remove_stale(self, attempt: Attempt, document_id: UUID) -> None:
        """Forget the vectors of passages that the document no longer has, whatever others do at the same time."""
        indexed = await self.vectors.list_passages(owner_id=attempt.owner_id, document_id=document_id)
        # In this order: a passage is stored before its vector, so one that is missing by now is gone, not yet to come.
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
        """Store the passages' vectors, until another ingestion comes between."""
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
        """Show the document if this passage, and with it all of this ingestion, is still what it has."""
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
    """Removes what a deleted document has left outside the database."""

    files: FileStore
    vectors: VectorStore

    async def run(self, attempt: Attempt, report: ReportProgress) -> None:
        """Delete the vectors and the file."""
        document_id = UUID(attempt.payload["document_id"])
        await self.vectors.delete_document(owner_id=attempt.owner_id, document_id=document_id)
        await self.files.delete(file_key(attempt.owner_id, document_id))

    async def give_up(self, attempt: Attempt, reason: str) -> None:
        """Nothing to put in order: the job's own error tells the operator what is left."""
