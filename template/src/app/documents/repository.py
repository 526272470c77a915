"""SQL for documents and passages. Queries for callers see only their own rows."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, String, Uuid, bindparam, delete, func, insert, or_, select, text, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.models import Account
from app.chat.sentences import STOP_WORDS
from app.documents.chunking import Chunk
from app.documents.models import Document, DocumentStatus, Passage
from app.pages import PageRequest, read_page

INSERT_BATCH = 2000
# Words in more passages of an owner than this are ignored; and so are further words of a query.
FREQUENT = 2000
MOST_WORDS = 32

# The most frequent word of the query approximates the number of passages, which would be slow to count.
BY_WORDS = text(
    f"""
    WITH words AS MATERIALIZED (
        SELECT word FROM unnest(tsvector_to_array(to_tsvector('simple', :query))) AS word
        WHERE word <> ALL (:ignored) ORDER BY length(word) DESC, word LIMIT {MOST_WORDS}
    ), hits AS MATERIALIZED (
        SELECT word, passage_id FROM words CROSS JOIN LATERAL (
            SELECT id AS passage_id FROM passages
            WHERE owner_id = :owner_id AND to_tsvector('simple', text) @@ plainto_tsquery('simple', word)
            AND (:document_ids IS NULL OR document_id = ANY (:document_ids))
            LIMIT :frequent + 1
        ) AS found
    ), counts AS (
        SELECT word, count(*) AS passages, max(count(*)) OVER () AS most FROM hits GROUP BY word
    ), weights AS (
        SELECT word, ln(1 + most / passages::float) AS weight FROM counts WHERE passages <= :frequent
    )
    SELECT passage_id, count(*) OVER (ORDER BY round(sum(weight)::numeric, 6) DESC) AS rank
    FROM hits JOIN weights USING (word) GROUP BY passage_id ORDER BY rank, passage_id LIMIT :limit
    """  # noqa: S608 - a constant
).bindparams(
    bindparam("document_ids", type_=postgresql.ARRAY(Uuid())),
    bindparam("ignored", type_=postgresql.ARRAY(String())),
    bindparam("owner_id", type_=Uuid()),
)


async def add(session: AsyncSession, document: dict[str, Any]) -> Document | None:
    """Insert a document; None if its idempotency key was used before."""
    statement = postgresql.insert(Document).values(document).on_conflict_do_nothing().returning(Document)
    added: Document | None = await session.scalar(statement)
    return added


async def count_bytes(session: AsyncSession, owner_id: UUID) -> int:
    """Return the total size of an owner's files; other calls for the owner wait until this transaction ends."""
    # The lock lets concurrent uploads count each other.
    await session.execute(select(Account.id).where(Account.id == owner_id).with_for_update(key_share=True))
    total = await session.scalar(select(func.sum(Document.size)).where(Document.owner_id == owner_id))
    return int(total or 0)


async def find(session: AsyncSession, owner_id: UUID, document_id: UUID) -> Document | None:
    """Find a document of this owner."""
    statement = select(Document).where(Document.owner_id == owner_id, Document.id == document_id)
    return await session.scalar(statement)


async def find_by_idempotency_key(session: AsyncSession, owner_id: UUID, key: str) -> Document | None:
    """Find the document that was uploaded with this key."""
    statement = select(Document).where(Document.owner_id == owner_id, Document.idempotency_key == key)
    return await session.scalar(statement)


async def list_for(session: AsyncSession, owner_id: UUID, page: PageRequest) -> tuple[list[Document], str | None]:
    """List an owner's documents, newest first."""
    return await read_page(session, select(Document).where(Document.owner_id == owner_id), Document, page)


async def change(session: AsyncSession, owner_id: UUID, document_id: UUID, **values: Any) -> Document | None:  # noqa: ANN401 - column values
    """Update columns of a document; None if the owner has no such document."""
    statement = update(Document).where(Document.owner_id == owner_id, Document.id == document_id)
    changed: Document | None = await session.scalar(statement.values(**values).returning(Document))
    return changed


async def update_for_job(session: AsyncSession, job_id: UUID, document_id: UUID, **values: Any) -> Document | None:  # noqa: ANN401 - column values
    """Update columns of a document for its ingestion; None if this job is not its latest ingestion."""
    statement = update(Document).where(Document.id == document_id, Document.job_id == job_id)
    changed: Document | None = await session.scalar(statement.values(**values).returning(Document))
    return changed


async def lock_for_job(session: AsyncSession, job_id: UUID, document_id: UUID) -> Document | None:
    """Find a document for its ingestion, and lock it until this transaction ends.

    None if this job is not its latest ingestion.
    """
    statement = select(Document).where(Document.id == document_id, Document.job_id == job_id)
    return await session.scalar(statement.with_for_update(key_share=True))


async def is_current(session: AsyncSession, job_id: UUID, passage_id: UUID) -> bool:
    """Return whether the passage still exists and this job is the latest ingestion of its document."""
    statement = select(Passage.id).join(Document, Document.id == Passage.document_id)
    return await session.scalar(statement.where(Passage.id == passage_id, Document.job_id == job_id)) is not None


async def passage_ids(session: AsyncSession, document_id: UUID) -> set[UUID]:
    """Return the ids of a document's passages."""
    return set(await session.scalars(select(Passage.id).where(Passage.document_id == document_id)))


async def remove(session: AsyncSession, owner_id: UUID, document_id: UUID) -> bool:
    """Delete a document with its passages; return whether it existed."""
    statement = delete(Document).where(Document.owner_id == owner_id, Document.id == document_id)
    return await session.scalar(statement.returning(Document.id)) is not None


async def replace_passages(session: AsyncSession, document: Document, chunks: Sequence[Chunk]) -> None:
    """Replace the passages of a document with these."""
    await session.execute(delete(Passage).where(Passage.document_id == document.id))
    common: dict[str, Any] = {"document_id": document.id, "owner_id": document.owner_id}
    rows = [common | {"id": c.id, "text": c.text, "start": c.start, "end": c.end, "page": c.page} for c in chunks]
    # The statement timeout applies to each call.
    for start in range(0, len(rows), INSERT_BATCH):
        await session.execute(insert(Passage), rows[start : start + INSERT_BATCH])


async def load_passages(
    session: AsyncSession, owner_id: UUID, passage_ids: Collection[UUID]
) -> Sequence[Row[Passage, str]]:
    """Load passages of an owner's ready documents, each with its document's file name, in no particular order."""
    statement = (
        select(Passage, Document.filename)
        .join(Document, Document.id == Passage.document_id)
        .where(Document.owner_id == owner_id, Document.status == DocumentStatus.READY, Passage.id.in_(passage_ids))
    )
    return (await session.execute(statement)).all()


async def find_by_words(
    session: AsyncSession, owner_id: UUID, query: str, *, document_ids: Sequence[UUID] | None, limit: int
) -> dict[UUID, int]:
    """Find the owner's passages that share words with a query, each with its rank from 1.

    A passage's score is the sum of the weights of the query's words in it. The rarer a word, the greater its weight
    (inverse document frequency); words in more than `FREQUENT` passages are ignored. Ties share the last of their
    ranks, so words that all passages share count little. Without `document_ids`, all of the owner's documents count.
    """
    values = {"query": query, "owner_id": owner_id, "ignored": sorted(STOP_WORDS), "frequent": FREQUENT, "limit": limit}
    documents = None if document_ids is None else list(document_ids)
    rows = await session.execute(BY_WORDS, values | {"document_ids": documents})
    return {row.passage_id: row.rank for row in rows}


async def ids_with_tags(session: AsyncSession, owner_id: UUID, tags: Collection[str]) -> list[UUID]:
    """Return the ids of the owner's documents that have all of these tags."""
    statement = select(Document.id).where(Document.owner_id == owner_id, Document.tags.contains(list(tags)))
    return list(await session.scalars(statement))


async def find_other_model(session: AsyncSession, owner_id: UUID, model: str) -> str | None:
    """Find another embedding model that some of the owner's documents were indexed with; None if there is none.

    Failed documents do not count.
    """
    # Unlike `!=`, `<` and `>` are two index lookups, which usually find nothing.
    another = or_(Document.embedding_model < model, Document.embedding_model > model)
    statement = select(Document.embedding_model).where(
        Document.owner_id == owner_id, Document.status != DocumentStatus.FAILED, another
    )
    return await session.scalar(statement.limit(1))


async def list_settled(session: AsyncSession, *, except_model: str | None) -> list[tuple[UUID, UUID]]:
    """List owner id and document id of all owners' ready and failed documents, oldest first.

    With `except_model`, only those that were indexed with another model.
    """
    settled = (DocumentStatus.READY, DocumentStatus.FAILED)
    statement = select(Document.owner_id, Document.id).where(Document.status.in_(settled))
    if except_model is not None:
        statement = statement.where(Document.embedding_model != except_model)
    statement = statement.order_by(Document.created_at, Document.id)
    return [(row.owner_id, row.id) for row in await session.execute(statement)]


async def count_indexed(session: AsyncSession, model: str) -> int:
    """Count the passages of all owners that are searchable with this embedding model."""
    statement = select(func.count()).select_from(Passage).join(Document, Document.id == Passage.document_id)
    return await session.scalar(statement.where(*_indexed_with(model))) or 0


async def find_indexed(
    session: AsyncSession, passage_ids: Collection[UUID], model: str
) -> set[tuple[UUID, UUID, UUID]]:
    """Return (passage, document, owner) ids of those passages that are searchable with this embedding model."""
    statement = select(Passage.id, Document.id, Document.owner_id).join(Document, Document.id == Passage.document_id)
    rows = await session.execute(statement.where(Passage.id.in_(passage_ids), *_indexed_with(model)))
    return {(passage_id, document_id, owner_id) for passage_id, document_id, owner_id in rows}


def _indexed_with(model: str) -> tuple[ColumnElement[bool], ...]:
    return Document.status == DocumentStatus.READY, Document.embedding_model == model
