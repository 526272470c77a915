"""SQL queries for extraction batches. Those without an owner expect that the caller has checked it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from app.extraction.models import ExtractionBatch, ExtractionItem, ItemState


async def add(session: AsyncSession, batch: dict[str, Any], texts: Sequence[str]) -> ExtractionBatch | None:
    """Store a batch with its texts; None if its idempotency key was used before."""
    statement = postgresql.insert(ExtractionBatch).values(batch).on_conflict_do_nothing().returning(ExtractionBatch)
    added: ExtractionBatch | None = await session.scalar(statement)
    if added is not None:
        rows = [
            {"batch_id": added.id, "position": position, "text": text, "state": ItemState.WAITING}
            for position, text in enumerate(texts)
        ]
        await session.execute(insert(ExtractionItem), rows)
    return added


async def find(session: AsyncSession, owner_id: UUID, batch_id: UUID) -> ExtractionBatch | None:
    """Return a batch of this owner, or None."""
    statement = select(ExtractionBatch).where(ExtractionBatch.owner_id == owner_id, ExtractionBatch.id == batch_id)
    return await session.scalar(statement)


async def find_by_idempotency_key(session: AsyncSession, owner_id: UUID, key: str) -> ExtractionBatch | None:
    """Return the batch that an earlier request with this key created, or None."""
    statement = select(ExtractionBatch).where(
        ExtractionBatch.owner_id == owner_id, ExtractionBatch.idempotency_key == key
    )
    return await session.scalar(statement)


async def list_items(session: AsyncSession, batch_id: UUID) -> Sequence[ExtractionItem]:
    """Return the items of a batch in order, without their texts."""
    statement = select(ExtractionItem).options(defer(ExtractionItem.text)).where(ExtractionItem.batch_id == batch_id)
    return (await session.scalars(statement.order_by(ExtractionItem.position))).all()


async def list_waiting(session: AsyncSession, batch_id: UUID) -> list[tuple[int, str]]:
    """Return position and text of the waiting items, in order."""
    statement = select(ExtractionItem.position, ExtractionItem.text).where(
        ExtractionItem.batch_id == batch_id, ExtractionItem.state == ItemState.WAITING
    )
    return [(position, text) for position, text in await session.execute(statement.order_by(ExtractionItem.position))]


async def count_items(session: AsyncSession, batch_id: UUID) -> int:
    """Return the number of texts in a batch."""
    statement = select(func.count()).select_from(ExtractionItem).where(ExtractionItem.batch_id == batch_id)
    return await session.scalar(statement) or 0


async def settle(
    session: AsyncSession, batch_id: UUID, position: int, state: ItemState, result: dict[str, Any]
) -> bool:
    """Store the state and result of a waiting text; return False if it is no longer waiting."""
    statement = update(ExtractionItem).where(
        ExtractionItem.batch_id == batch_id,
        ExtractionItem.position == position,
        ExtractionItem.state == ItemState.WAITING,
    )
    settled = statement.values(state=state, result=result).returning(ExtractionItem.position)
    return await session.scalar(settled) is not None


async def fail_waiting(session: AsyncSession, batch_id: UUID, result: dict[str, Any]) -> None:
    """Set all waiting texts of a batch to failed, with this result."""
    statement = update(ExtractionItem).where(
        ExtractionItem.batch_id == batch_id, ExtractionItem.state == ItemState.WAITING
    )
    await session.execute(statement.values(state=ItemState.FAILED, result=result))
