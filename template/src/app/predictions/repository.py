"""Database queries for predictions."""

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
    """Insert predictions, except those of deleted accounts; `outputs_json` of a row is JSON text or None."""
    owners = {row["owner_id"] for row in rows}
    # Lock the accounts, so that none is deleted before the rows are inserted.
    there = select(Account.id).where(Account.id.in_(owners)).with_for_update(read=True, key_share=True)
    remaining = set(await session.scalars(there))
    kept = [row for row in rows if row["owner_id"] in remaining]
    if kept:
        # Send the JSON as text: the column's own type would serialize it again, on the event loop.
        outputs = cast(bindparam("outputs_json", type_=Text), JSONB)
        connection = await session.connection()
        await connection.execute(insert(Prediction).values(outputs=outputs), kept)


async def list_for(session: AsyncSession, owner_id: UUID, page: PageRequest) -> tuple[list[Prediction], str | None]:
    """List an owner's predictions, newest first."""
    return await read_page(session, select(Prediction).where(Prediction.owner_id == owner_id), Prediction, page)


async def delete_older(session: AsyncSession, *, days: int, limit: int) -> int:
    """Delete up to `limit` predictions older than `days` and return their number; locked rows are skipped."""
    old = (
        select(Prediction.id)
        .where(Prediction.created_at < func.now() - timedelta(days=days))
        .order_by(Prediction.created_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = delete(Prediction).where(Prediction.id.in_(old.scalar_subquery())).returning(Prediction.id)
    return len((await session.scalars(statement)).all())
