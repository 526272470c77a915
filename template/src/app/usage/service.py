"""Admission of requests to language models, and records of their usage."""

import asyncio
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date

import structlog

from app.auth.caller import Caller, Scope
from app.cancellation import finish
from app.database import Database
from app.errors import AppError, UnprocessableError
from app.usage import repository
from app.usage.admission import Admission
from app.usage.budgets import Budgets, Month
from app.usage.measurement import Expectation, Measurement
from app.usage.prices import format_amount
from app.usage.quotas import QuotaDecision
from app.usage.rate_limits import RateLimits
from app.usage.repository import DailyUsage

log = structlog.get_logger(__name__)

MOST_DAYS = 366


@dataclass(frozen=True, slots=True)
class UsageService:
    """Admits requests within the caller's limits, records their usage and reports it."""

    database: Database
    limits: RateLimits
    budgets: Budgets

    def longest_answer(self, *, caller: Caller) -> int | None:
        """Return the most tokens that an answer to this caller may have; None if its scopes set no limit."""
        return self.limits.settings.longest_answer(caller)

    async def admit(self, expected: Expectation, *, caller: Caller) -> Admission:
        """Admit a request; call `record` or `release` with the result.

        Raises:
            TooManyRequestsError: a rate limit or the monthly budget is exhausted.
            PayloadTooLargeError: the request exceeds the limits on its own.
            ForbiddenError: the caller has a budget, but the model has no price.
            UnavailableError: the database cannot be reached.
        """
        admitting = asyncio.create_task(self._admit(expected, caller))
        try:
            return await asyncio.shield(admitting)
        except asyncio.CancelledError:
            await finish(self._undo(admitting))
            raise

    async def record(self, measurement: Measurement, admission: Admission) -> None:
        """Record what a request used; completes even if the calling task is cancelled meanwhile."""
        await finish(self._settle(measurement, admission))

    async def release(self, admission: Admission) -> None:
        """Release the hold and the quotas of a request that did not reach the model."""
        await finish(self._release(admission))

    async def list_daily(self, first: date, last: date, *, caller: Caller) -> list[DailyUsage]:
        """Sum up the caller's usage by day (UTC) and model, newest day first; `first` and `last` are included.

        Raises:
            UnprocessableError: the range is empty or longer than `MOST_DAYS`.
        """
        caller.require(Scope.USAGE)
        if not 0 <= (last - first).days < MOST_DAYS:
            raise UnprocessableError(f"Ask for 1 to {MOST_DAYS} days.")
        async with self.database.transaction() as session:
            return await repository.list_daily(session, caller.id, first, last)

    async def read_month(self, *, caller: Caller) -> Month:
        """Return the caller's budget and spending of this month."""
        caller.require(Scope.USAGE)
        return await self.budgets.read_month(caller=caller)

    async def _admit(self, expected: Expectation, caller: Caller) -> Admission:
        taken = await self.limits.take(expected.tokens, caller=caller)
        try:
            hold = await self.budgets.hold(expected, caller=caller)
        except Exception:
            await self._correct(taken, -expected.tokens, caller)
            raise
        return Admission(caller, expected, hold, taken)

    async def _undo(self, admitting: asyncio.Task[Admission]) -> None:
        """Release what was admitted although the calling task was cancelled."""
        with suppress(AppError):
            await self._release(await admitting)

    async def _settle(self, measurement: Measurement, admission: Admission) -> None:
        caller, used = admission.caller, asdict(measurement)
        try:
            cost = await self.budgets.settle(admission.hold, measurement, caller=caller)
        except Exception:
            # The answer was given already; then at least the log has its usage.
            log.exception("usage.lost", owner_id=str(caller.id), **used)
        else:
            amount = None if cost is None else format_amount(cost)
            log.info("usage.recorded", owner_id=str(caller.id), cost=amount, **used)
        tokens = measurement.input_tokens + measurement.output_tokens
        await self._correct(admission.taken, tokens - admission.expected.tokens, caller)

    async def _release(self, admission: Admission) -> None:
        try:
            await self.budgets.release(admission.hold, caller=admission.caller)
        except Exception:
            # It expires and then counts as spent: better to overcount than to overspend.
            log.exception("usage.not_released", owner_id=str(admission.caller.id), record_id=str(admission.hold.id))
        await self._correct(admission.taken, -admission.expected.tokens, admission.caller)

    async def _correct(self, taken: QuotaDecision | None, difference: int, caller: Caller) -> None:
        if taken is not None:
            await self.limits.correct(taken, difference, caller=caller)
