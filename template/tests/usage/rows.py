"""What is written down about usage, as it stands in the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import func, select, text, update

from app.database import Database
from app.usage.models import MonthlySpending, Reservation, UsageRecord


async def read_rows(database: Database) -> list[UsageRecord]:
    """Read every use, the oldest first."""
    async with database.transaction() as session:
        return list(await session.scalars(select(UsageRecord).order_by(UsageRecord.created_at)))


async def add_row(database: Database, owner_id: UUID, created_at: datetime) -> None:
    """Store one use, of that moment."""
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
    """Let the time of every call under way be up."""
    async with database.transaction() as session:
        await session.execute(update(Reservation).values(expires_at=func.now() - timedelta(seconds=1)))


async def count_reservations(database: Database) -> int:
    """Count the calls under way."""
    async with database.transaction() as session:
        return await session.scalar(select(func.count()).select_from(Reservation)) or 0


async def find_reserved(database: Database) -> Decimal | None:
    """Find what the only account that has spent has set aside; None if nobody has."""
    async with database.transaction() as session:
        return await session.scalar(select(MonthlySpending.reserved))


@asynccontextmanager
async def lock_reservations(database: Database) -> AsyncIterator[None]:
    """Let no call begin or end while the block runs."""
    async with database.transaction() as session:
        await session.execute(text("LOCK TABLE reservations"))
        yield
