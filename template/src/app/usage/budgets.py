"""Monthly budgets: the highest cost of a call is reserved before it, and replaced by its actual cost after it.

Reservations are rows in SQL, so they outlive processes. The reservation of a killed process expires and then counts as
spent, because the provider has probably charged for the call.
"""

import math
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.caller import Caller
from app.database import Database
from app.errors import BudgetExhaustedError, CallerError, ForbiddenError, TooManyRequestsError
from app.usage import repository
from app.usage.admission import Hold
from app.usage.measurement import CACHED, LOST, Expectation, Measurement
from app.usage.models import Reservation
from app.usage.prices import FREE, find_price, format_amount
from app.usage.repository import Spending
from app.usage.settings import UsageSettings

log = structlog.get_logger(__name__)

BUSY_SECONDS = 10  # after which running calls may have released a part of the budget


@dataclass(frozen=True, slots=True)
class Month:
    """The budget and spending of an account in a month; a budget of None is no limit."""

    month: date
    budget: Decimal | None
    spending: Spending

    @property
    def remaining(self) -> Decimal | None:
        """What is neither spent nor reserved, at least 0; None if there is no limit."""
        if self.budget is None:
            return None
        return max(Decimal(0), self.budget - self.spending.spent - self.spending.reserved)


@dataclass(frozen=True, slots=True)
class Budgets:
    """Enforces the monthly budgets of callers."""

    database: Database
    settings: UsageSettings

    async def hold(self, expected: Expectation, *, caller: Caller) -> Hold:
        """Reserve the highest cost of a call; nothing is stored for a free call, or one without price and budget.

        Raises:
            BudgetExhaustedError: the call may cost more than what is left of the month's budget.
            TooManyRequestsError: running calls have reserved what this one needs.
            ForbiddenError: the caller has a budget, but the model has no price.
            UnavailableError: the database cannot be reached.
        """
        cost = self._highest_cost(expected)
        hold = Hold(uuid4(), _this_month(), cost)
        if cost == 0:
            return replace(hold, is_stored=False)
        async with self.database.transaction() as session:
            budget = await repository.find_budget(session, caller.id, self.settings.monthly_budget)
            if cost is None and budget is None:
                return replace(hold, is_stored=False)
            await self._settle_expired(session, caller.id)
            reservation = _reservation(hold, expected, caller)
            await repository.add_reservation(session, reservation, self.settings.reservation_seconds)
            # Last, because it locks a row that all calls of the owner need.
            if cost is None or not await repository.reserve(session, caller.id, hold.month, cost, budget):
                spending = await repository.find_spending(session, caller.id, hold.month)
                raise self._refusal(expected, cost, Month(hold.month, budget, spending))
        return hold

    async def settle(self, hold: Hold, measurement: Measurement, *, caller: Caller) -> Decimal | None:
        """Record what a call used, charge its cost and return it; None if it has no price."""
        is_free = measurement.finish_reason == CACHED
        price = FREE if is_free else find_price(self.settings.prices, measurement.model)
        tokens = (measurement.input_tokens, measurement.output_tokens, measurement.cached_tokens)
        cost = None if price is None else price.cost(*tokens)
        # The model that answered may have no price, unlike the requested one: then the reserved amount is charged.
        spent = hold.cost if cost is None else cost
        async with self.database.transaction() as session:
            released, counted = await _end_hold(session, hold)
            await repository.add(session, hold.id, caller, measurement, cost)
            change = (spent or Decimal(0)) - counted
            await repository.spend(session, caller.id, hold.month, released=released, spent=change)
        return cost

    async def release(self, hold: Hold, *, caller: Caller) -> None:
        """Release the reservation of a call that was never made."""
        if not hold.is_stored:
            return
        async with self.database.transaction() as session:
            released, counted = await _end_hold(session, hold)
            await repository.spend(session, caller.id, hold.month, released=released, spent=-counted)

    async def read_month(self, *, caller: Caller) -> Month:
        """Return the caller's budget and spending of this month."""
        month = _this_month()
        async with self.database.transaction() as session:
            await self._settle_expired(session, caller.id)
            budget = await repository.find_budget(session, caller.id, self.settings.monthly_budget)
            return Month(month, budget, await repository.find_spending(session, caller.id, month))

    async def set_budget(self, amount: Decimal | None, *, caller: Caller) -> None:
        """Set the budget of an account; None is no limit."""
        async with self.database.transaction() as session:
            await repository.set_budget(session, caller.id, amount)

    async def unset_budget(self, *, caller: Caller) -> None:
        """Reset an account to the default budget."""
        async with self.database.transaction() as session:
            await repository.delete_budget(session, caller.id)

    async def _settle_expired(self, session: AsyncSession, owner_id: UUID) -> None:
        """Count expired reservations, of calls that never ended, as spent."""
        for lost in await repository.take_expired(session, owner_id):
            measurement = Measurement(
                endpoint=lost.endpoint,
                model=lost.model,
                input_tokens=lost.input_tokens,
                output_tokens=lost.output_tokens,
                cached_tokens=0,
                estimated=True,
                finish_reason=LOST,
                first_token_seconds=None,
                seconds=0,
            )
            await repository.add(session, lost.id, Caller(owner_id, key_id=lost.key_id), measurement, lost.cost)
            held = lost.cost or Decimal(0)
            await repository.spend(session, owner_id, lost.month, released=held, spent=held)
            log.warning("usage.expired", owner_id=str(owner_id), record_id=str(lost.id), model=lost.model)

    def _unpriced(self, expected: Expectation) -> list[str]:
        models = (expected.model, *expected.fallbacks)
        return [model for model in models if find_price(self.settings.prices, model) is None]

    def _highest_cost(self, expected: Expectation) -> Decimal | None:
        """Return the highest cost of a call over all models that may answer; None if one of them has no price."""
        if not expected.tokens:
            return Decimal(0)  # a cached answer is free, even if its model has no price
        found = [find_price(self.settings.prices, model) for model in (expected.model, *expected.fallbacks)]
        prices = [price for price in found if price is not None]
        if len(prices) < len(found):
            return None
        return max(price.cost(expected.input_tokens, expected.output_tokens) for price in prices)

    def _refusal(self, expected: Expectation, cost: Decimal | None, month: Month) -> CallerError:
        if cost is None or month.budget is None:
            unpriced = " and ".join(self._unpriced(expected))
            log.error("price.missing", models=unpriced)
            return ForbiddenError(
                f"You have a budget, and there is no price for {unpriced}: the operator has to set one."
            )
        left = month.budget - month.spending.spent
        if cost <= left:
            return TooManyRequestsError(
                "Calls under way hold the rest of your budget. Try again when they have ended.",
                retry_after=BUSY_SECONDS,
            )
        next_month = (month.month + timedelta(days=32)).replace(day=1)
        wait = datetime.combine(next_month, time(), UTC) - datetime.now(UTC)
        return BudgetExhaustedError(
            f"This may cost {format_amount(cost)} {self.settings.currency}, and of this month's budget you have "
            f"{format_amount(max(left, Decimal(0)))} left.",
            retry_after=max(1, math.ceil(wait.total_seconds())),
        )


async def _end_hold(session: AsyncSession, hold: Hold) -> tuple[Decimal, Decimal]:
    """End a hold; return the amount it still reserves, and the amount counted as spent because it had expired."""
    if not hold.is_stored:
        return Decimal(0), Decimal(0)
    reservation = await repository.take_reservation(session, hold.id)
    lost = None if reservation else await repository.take_lost(session, hold.id)
    return (reservation and reservation.cost) or Decimal(0), (lost and lost.cost) or Decimal(0)


def _reservation(hold: Hold, expected: Expectation, caller: Caller) -> Reservation:
    return Reservation(
        id=hold.id,
        owner_id=caller.id,
        key_id=caller.key_id,
        endpoint=expected.endpoint,
        model=expected.model,
        month=hold.month,
        input_tokens=expected.input_tokens,
        output_tokens=expected.output_tokens,
        cost=hold.cost,
    )


def _this_month() -> date:
    return datetime.now(UTC).date().replace(day=1)
