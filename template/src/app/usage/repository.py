"""What was used, in SQL."""

from dataclasses import asdict, dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import Date, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.usage.measurement import Measurement
from app.usage.models import UsageRecord


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """What an account used of one model on one day (UTC)."""

    day: date
    model: str
    requests: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int


async def add(session: AsyncSession, owner_id: UUID, key_id: UUID | None, measurement: Measurement) -> None:
    """Store one use."""
    await session.execute(insert(UsageRecord).values(owner_id=owner_id, key_id=key_id, **asdict(measurement)))


async def list_daily(session: AsyncSession, owner_id: UUID, first: date, last: date) -> list[DailyUsage]:
    """Add up an owner's use by day and model, the newest day first; both days are included."""
    day = func.timezone("UTC", UsageRecord.created_at).cast(Date)
    statement = (
        select(
            day,
            UsageRecord.model,
            func.count(),
            func.sum(UsageRecord.input_tokens),
            func.sum(UsageRecord.output_tokens),
            func.sum(UsageRecord.cached_tokens),
        )
        .where(UsageRecord.owner_id == owner_id, day.between(first, last))
        .group_by(day, UsageRecord.model)
        .order_by(day.desc(), UsageRecord.model)
    )
    return [DailyUsage(*row) for row in await session.execute(statement)]
