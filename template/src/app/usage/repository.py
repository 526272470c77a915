"""SQL for usage records, budgets, spending and reservations."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Date, delete, func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.caller import Caller
from app.usage.measurement import LOST, Measurement
from app.usage.models import Budget, MonthlySpending, Reservation, UsageRecord


@dataclass(frozen=True, slots=True)
class DailyUsage:
    """An account's usage of one model on one day (UTC).

    Attributes:
        cost: of the requests whose price is known; None if there are none.
    """

    day: date
    model: str
    requests: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cost: Decimal | None


@dataclass(frozen=True, slots=True)
class Spending:
    """What an account has spent in a month, and what is reserved for running calls."""

    spent: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)


async def add(
    session: AsyncSession, record_id: UUID, caller: Caller, measurement: Measurement, cost: Decimal | None
) -> None:
    """Insert a usage record."""
    values = asdict(measurement) | {"id": record_id, "owner_id": caller.id, "key_id": caller.key_id, "cost": cost}
    await session.execute(insert(UsageRecord).values(values))


async def list_daily(session: AsyncSession, owner_id: UUID, first: date, last: date) -> list[DailyUsage]:
    """Sum up an owner's usage by day and model, newest day first; `first` and `last` are included."""
    day = func.timezone("UTC", UsageRecord.created_at).cast(Date)
    # Filter by time, which the index is sorted by, and not by `day`; `time.max` has the precision of the database.
    start, end = datetime.combine(first, time.min, UTC), datetime.combine(last, time.max, UTC)
    statement = (
        select(
            day,
            UsageRecord.model,
            func.count(),
            func.sum(UsageRecord.input_tokens),
            func.sum(UsageRecord.output_tokens),
            func.sum(UsageRecord.cached_tokens),
            func.sum(UsageRecord.cost),
        )
        .where(UsageRecord.owner_id == owner_id, UsageRecord.created_at.between(start, end))
        .group_by(day, UsageRecord.model)
        .order_by(day.desc(), UsageRecord.model)
    )
    return [DailyUsage(*row) for row in await session.execute(statement)]


async def find_budget(session: AsyncSession, owner_id: UUID, default: Decimal | None) -> Decimal | None:
    """Return the monthly budget of an owner; None is no limit."""
    row = (await session.execute(select(Budget.amount).where(Budget.owner_id == owner_id))).one_or_none()
    return default if row is None else row[0]


async def set_budget(session: AsyncSession, owner_id: UUID, amount: Decimal | None) -> None:
    """Set the budget of an owner; None is no limit."""
    statement = upsert(Budget).values(owner_id=owner_id, amount=amount)
    await session.execute(statement.on_conflict_do_update(index_elements=[Budget.owner_id], set_={"amount": amount}))


async def delete_budget(session: AsyncSession, owner_id: UUID) -> None:
    """Reset an owner to the default budget."""
    await session.execute(delete(Budget).where(Budget.owner_id == owner_id))


async def find_spending(session: AsyncSession, owner_id: UUID, month: date) -> Spending:
    """Return the spending of an owner in a month."""
    row = await session.get(MonthlySpending, (owner_id, month))
    return Spending() if row is None else Spending(row.spent, row.reserved)


async def reserve(session: AsyncSession, owner_id: UUID, month: date, cost: Decimal, budget: Decimal | None) -> bool:
    """Reserve the cost of a call if the budget covers it; return whether it does.

    The row is locked while the condition is evaluated, so concurrent calls cannot reserve the same amount.
    """
    if budget is not None and cost > budget:
        return False
    statement = upsert(MonthlySpending).values(owner_id=owner_id, month=month, spent=0, reserved=cost)
    total = MonthlySpending.spent + MonthlySpending.reserved + cost
    reserved = statement.on_conflict_do_update(
        index_elements=[MonthlySpending.owner_id, MonthlySpending.month],
        set_={"reserved": MonthlySpending.reserved + cost},
        where=None if budget is None else total <= budget,
    ).returning(MonthlySpending.owner_id)
    return await session.scalar(reserved) is not None


async def spend(session: AsyncSession, owner_id: UUID, month: date, *, released: Decimal, spent: Decimal) -> None:
    """Subtract `released` from what is reserved, and add `spent` to what is spent."""
    if not released and not spent:
        return
    change = {"reserved": MonthlySpending.reserved - released, "spent": MonthlySpending.spent + spent}
    statement = upsert(MonthlySpending).values(owner_id=owner_id, month=month, spent=spent, reserved=0)
    row = [MonthlySpending.owner_id, MonthlySpending.month]
    await session.execute(statement.on_conflict_do_update(index_elements=row, set_=change))


async def add_reservation(session: AsyncSession, reservation: Reservation, seconds: int) -> None:
    """Insert a reservation that expires in so many seconds."""
    reservation.expires_at = func.now() + timedelta(seconds=seconds)
    session.add(reservation)
    await session.flush()


async def take_reservation(session: AsyncSession, reservation_id: UUID) -> Reservation | None:
    """Delete and return a reservation; None if it has expired and been settled."""
    statement = delete(Reservation).where(Reservation.id == reservation_id).returning(Reservation)
    return await session.scalar(statement)


async def take_expired(session: AsyncSession, owner_id: UUID) -> Sequence[Reservation]:
    """Delete and return an owner's expired reservations; skip rows that another transaction has locked."""
    expired = (Reservation.owner_id == owner_id, Reservation.expires_at < func.now())
    free = select(Reservation.id).where(*expired).with_for_update(skip_locked=True)
    taken = await session.scalars(delete(Reservation).where(Reservation.id.in_(free)).returning(Reservation))
    return taken.all()


async def take_lost(session: AsyncSession, record_id: UUID) -> UsageRecord | None:
    """Delete and return the record of a call whose reservation expired before it ended; None if there is none."""
    lost = (UsageRecord.id == record_id, UsageRecord.finish_reason == LOST)
    return await session.scalar(delete(UsageRecord).where(*lost).returning(UsageRecord))
