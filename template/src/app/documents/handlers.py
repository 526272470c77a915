"""Jobs on documents: reading them into the index, and cleaning up after them."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.database import Database
from app.documents import repository
from app.documents.chunking import Chunk
from app.documents.models import Document, DocumentStatus
from app.documents.ports import FileStore, PassageVector, VectorStore
from app.documents.reading import Reading, read
from app.documents.service import DocumentsSettings, file_key
from app.errors import DropJobError
from app.inference.embedder import Embedder
from app.jobs.ports import Attempt, ReportProgress
from app.observability.spans import span

# Passages between two progress reports: large enough that indexing, not reporting, takes the time.
STRIDE = 128


@dataclass(frozen=True, slots=True)
class IngestDocument:
    """Parses, chunks, embeds and indexes a document. Done twice, it leaves what doing it once leaves."""

    database: Database
    files: FileStore
    vectors: VectorStore
    embedder: Embedder
    settings: DocumentsSettings

    async def run(self, attempt: Attempt, report: ReportProgress) -> None:
        """Take a document from its file to searchable passages.

        Raises:
            DropJobError: the file holds nothing that can be indexed.
        """
        document_id = UUID(attempt.payload["document_id"])
        if await self._is_done(attempt, document_id):
            return
        document = await self._mark(attempt, document_id, status=DocumentStatus.PROCESSING, error=None)
        if document is None:
            return
        chunks = await self._read(document)
        if not await self._store(attempt, document_id, chunks):
            return
        await self._index(document, chunks, report)
        await self._mark(
            attempt, document_id, status=DocumentStatus.READY, embedding_model=self.embedder.model.identity
        )

    async def give_up(self, attempt: Attempt, reason: str) -> None:
        """Show the owner why the document cannot be searched."""
        document_id = UUID(attempt.payload["document_id"])
        await self._mark(attempt, document_id, status=DocumentStatus.FAILED, error=reason)

    async def _is_done(self, attempt: Attempt, document_id: UUID) -> bool:
        """Tell whether an earlier attempt was killed after its last step: searches must not miss the document again."""
        async with self.database.transaction() as session:
            document = await repository.find(session, attempt.owner_id, document_id)
        return (
            document is not None
            and (document.status, document.job_id) == (DocumentStatus.READY, attempt.job_id)
            and document.embedding_model == self.embedder.model.identity
        )

    async def _mark(self, attempt: Attempt, document_id: UUID, **values: str | None) -> Document | None:
        """Change the document; None if it was deleted, or is to be indexed by another job by now."""
        async with self.database.transaction() as session:
            document = await repository.change_for(session, attempt.job_id, document_id, **values)
            deleted = document is None and await repository.find(session, attempt.owner_id, document_id) is None
        if deleted:
            # Its clean-up may have run before the last vectors were written.
            await self.vectors.delete_document(owner_id=attempt.owner_id, document_id=document_id)
        return document

    async def _store(self, attempt: Attempt, document_id: UUID, chunks: Sequence[Chunk]) -> bool:
        async with self.database.transaction() as session:
            # This locks the row, too: of two ingestions that overlap, the latest alone has its passages stored.
            status = DocumentStatus.PROCESSING
            if await repository.change_for(session, attempt.job_id, document_id, status=status) is None:
                return False
            await repository.replace_passages(session, document_id, chunks)
        return True

    async def _read(self, document: Document) -> list[Chunk]:
        model = self.embedder.model
        try:
            async with self.files.as_path(file_key(document.owner_id, document.id)) as path:
                reading = Reading(
                    document_id=document.id,
                    path=path,
                    media_type=document.media_type,
                    max_pages=self.settings.max_pages,
                    max_characters=self.settings.max_characters,
                    passage_tokens=min(self.settings.passage_tokens, model.max_tokens),
                    model=model.folder,
                    model_tokens=model.max_tokens,
                )
                with span("read document", {"app.media_type": document.media_type}):
                    chunks = await read(reading, self.embedder.tokenizer)
        except FileNotFoundError as error:
            raise DropJobError("The uploaded file is no longer there.") from error
        if not chunks:
            raise DropJobError("No text was found in the file.")
        return chunks

    async def _index(self, document: Document, chunks: Sequence[Chunk], report: ReportProgress) -> None:
        await self.vectors.delete_document(owner_id=document.owner_id, document_id=document.id)
        model = self.embedder.model.identity
        for start in range(0, len(chunks), STRIDE):
            part = chunks[start : start + STRIDE]
            embeddings = await self.embedder.embed([piece.text for piece in part], owner=document.owner_id)
            vectors = [
                PassageVector(piece.id, document.id, document.owner_id, model, vector.tolist())
                for piece, vector in zip(part, embeddings.vectors, strict=True)
            ]
            with span("store vectors", {"app.vectors": len(vectors)}):
                await self.vectors.upsert(vectors)
            await report((start + len(part)) / len(chunks))


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
