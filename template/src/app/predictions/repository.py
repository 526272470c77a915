"""Predictions in SQL."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Text, bindparam, cast, delete, func, insert, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.models import Account
from app.pages import PageRequest, read_page
from app.predictions.models import Prediction


async def add_all(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> None:
    """Store predictions, except those whose owner is gone; `outputs_json` of a row is JSON text."""
    owners = {row["owner_id"] for row in rows}
    # Locked, so that none of them goes before the rows are there.
    there = select(Account.id).where(Account.id.in_(owners)).with_for_update(read=True, key_share=True)
    remaining = set(await session.scalars(there))
    kept = [row for row in rows if row["owner_id"] in remaining]
    if kept:
        # As the text that it is: the column's own type would write it as JSON here, on the event loop.
        outputs = cast(bindparam("outputs_json", type_=Text), JSONB)
        connection = await session.connection()
        await connection.execute(insert(Prediction).values(outputs=outputs), kept)


async def list_for(session: AsyncSession, owner_id: UUID, page: PageRequest) -> tuple[list[Prediction], str | None]:
    """List an owner's predictions, newest first."""
    return await read_page(session, select(Prediction).where(Prediction.owner_id == owner_id), Prediction, page)


async def delete_older(session: AsyncSession, *, days: int, limit: int) -> int:
    """Delete older predictions and return how many; rows that another process is deleting are skipped."""
    old = (
        select(Prediction.id)
        .where(Prediction.created_at < func.now() - timedelta(days=days))
        .order_by(Prediction.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = delete(Prediction).where(Prediction.id.in_(old.scalar_subquery())).returning(Prediction.id)
    return len((await session.scalars(statement)).all())
