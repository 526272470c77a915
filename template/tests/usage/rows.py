"""Read and change the usage rows in the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import func, select, text, update

from app.database import Database
from app.usage.models import MonthlySpending, Reservation, UsageRecord


async def read_rows(database: Database) -> list[UsageRecord]:
    """Return every usage record, oldest first."""
    async with database.transaction() as session:
        return list(await session.scalars(select(UsageRecord).order_by(UsageRecord.created_at)))


async def add_row(database: Database, owner_id: UUID, created_at: datetime) -> None:
    """Store a usage record with that creation time."""
    async with database.transaction() as session:
        session.add(
            UsageRecord(
                owner_id=owner_id,
                created_at=created_at,
                endpoint="chat.completions",
                model="openai:gpt-5",
                input_tokens=100,
                output_tokens=10,
                cached_tokens=0,
                estimated=False,
                finish_reason="stop",
                seconds=1.0,
            )
        )


async def expire_reservations(database: Database) -> None:
    """Expire the reservations of all calls in progress."""
    async with database.transaction() as session:
        await session.execute(update(Reservation).values(expires_at=func.now() - timedelta(seconds=1)))


async def count_reservations(database: Database) -> int:
    """Count the reservations of calls in progress."""
    async with database.transaction() as session:
        return await session.scalar(select(func.count()).select_from(Reservation)) or 0


async def find_reserved(database: Database) -> Decimal | None:
    """Return the reserved amount of the only account with spending; None if there is none."""
    async with database.transaction() as session:
        return await session.scalar(select(MonthlySpending.reserved))


@asynccontextmanager
async def lock_reservations(database: Database) -> AsyncIterator[None]:
    """Lock the reservations, which keeps calls from beginning or ending while the block runs."""
    async with database.transaction() as session:
        await session.execute(text("LOCK TABLE reservations"))
        yield
