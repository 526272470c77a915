"""Export and import of vectors, to move to another vector store without embedding again."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.database import Database
from app.documents import repository
from app.documents.ports import PassageVector, VectorArchive, VectorStore
from app.documents.vector_file import header_line, read_vectors, trailer_line, vector_line
from app.errors import UnprocessableError
from app.inference.manifest import EmbeddingModel

BATCH = 250


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of an import.

    Attributes:
        stored: vectors that searches find now.
        skipped: vectors of documents that were deleted or changed since the export.
        missing: indexed passages whose vectors were not in the file.
    """

    stored: int
    skipped: int
    missing: int


async def export_vectors(archive: VectorArchive, model: EmbeddingModel) -> AsyncIterator[bytes]:
    """Yield the lines of a file with all vectors of the model, ordered by passage."""
    yield header_line(model)
    count, after = 0, None
    while page := await archive.scan(model.identity, after=after, limit=BATCH):
        for vector in page:
            yield vector_line(vector)
        count, after = count + len(page), page[-1].passage_id
    yield trailer_line(count)


async def import_vectors(
    lines: Iterable[bytes],
    store: VectorStore,
    model: EmbeddingModel,
    *,
    database: Database,
    report: Callable[[int], None],
) -> ImportResult:
    """Prepare the store and store a file's vectors; idempotent.

    `report` is called with the number of vectors read so far.

    Raises:
        EmbeddingModelError: the vectors come from another model.
        UnprocessableError: a line is invalid or missing; the vectors before it are stored.
    """
    vectors = read_vectors(lines, model)
    await store.prepare(model)
    read = stored = 0
    for batch in _batches(vectors):
        indexed = await _select_indexed(batch, model, database)
        await store.upsert(indexed)
        read, stored = read + len(batch), stored + len(indexed)
        report(read)
    return ImportResult(stored, read - stored, max(0, await count_indexed(database, model) - stored))


async def count_indexed(database: Database, model: EmbeddingModel) -> int:
    """Count the passages that are indexed with this model."""
    async with database.transaction() as session:
        return await repository.count_indexed(session, model.identity)


def _batches(vectors: Iterable[PassageVector]) -> Iterator[list[PassageVector]]:
    """Yield batches; before an invalid line's error is raised, yield the vectors that precede the line."""
    batch: list[PassageVector] = []
    try:
        for vector in vectors:
            batch.append(vector)
            if len(batch) == BATCH:
                yield batch
                batch = []
    except UnprocessableError:
        yield batch
        raise
    yield batch


async def _select_indexed(
    batch: Sequence[PassageVector], model: EmbeddingModel, database: Database
) -> list[PassageVector]:
    async with database.transaction() as session:
        indexed = await repository.find_indexed(session, [each.passage_id for each in batch], model.identity)
    return [each for each in batch if (each.passage_id, each.document_id, each.owner_id) in indexed]
