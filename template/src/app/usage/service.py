"""Keeping account of what callers use, and callers within their limits."""

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
from app.usage.prices import plain
from app.usage.quotas import Taken
from app.usage.rate_limits import RateLimits
from app.usage.repository import DailyUsage

log = structlog.get_logger(__name__)

MOST_DAYS = 366


@dataclass(frozen=True, slots=True)
class UsageService:
    """Lets requests through, writes down what they used, and adds it up."""

    database: Database
    limits: RateLimits
    budgets: Budgets

    def longest_answer(self, *, caller: Caller) -> int | None:
        """Tell how many tokens an answer to this caller may have; None where the scopes set no ceiling."""
        return self.limits.settings.longest_answer(caller)

    async def admit(self, expected: Expectation, *, caller: Caller) -> Admission:
        """Let a request through, which is then recorded or released.

        Raises:
            TooManyRequestsError: a limit of the caller is reached for now, or the month's budget.
            PayloadTooLargeError: the request can never be within the limits.
            ForbiddenError: the caller has a budget, and the model no price.
            UnavailableError: the account cannot be looked at.
        """
        admitting = asyncio.create_task(self._admit(expected, caller))
        try:
            return await asyncio.shield(admitting)
        except asyncio.CancelledError:
            await finish(self._undo(admitting))
            raise

    async def record(self, measurement: Measurement, admission: Admission) -> None:
        """Put one use on the caller's account, even if the caller's own task is cancelled meanwhile."""
        await finish(self._settle(measurement, admission))

    async def release(self, admission: Admission) -> None:
        """Give back what was held for a request that did not reach the model."""
        await finish(self._release(admission))

    async def list_daily(self, first: date, last: date, *, caller: Caller) -> list[DailyUsage]:
        """Add up what the caller used by day (UTC) and model, the newest day first; both days are included.

        Raises:
            UnprocessableError: there are no days between the two, or too many.
        """
        caller.require(Scope.USAGE)
        if not 0 <= (last - first).days < MOST_DAYS:
            raise UnprocessableError(f"Ask for 1 to {MOST_DAYS} days.")
        async with self.database.transaction() as session:
            return await repository.list_daily(session, caller.id, first, last)

    async def read_month(self, *, caller: Caller) -> Month:
        """Tell what the caller may spend this month, and has spent."""
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
        """Release what was admitted for somebody who has gone meanwhile."""
        with suppress(AppError):
            await self._release(await admitting)

    async def _settle(self, measurement: Measurement, admission: Admission) -> None:
        caller, used = admission.caller, asdict(measurement)
        try:
            cost = await self.budgets.settle(admission.hold, measurement, caller=caller)
        except Exception:
            # The answer was given; the log is the second place to find what it took.
            log.exception("usage.lost", owner_id=str(caller.id), **used)
        else:
            log.info("usage.recorded", owner_id=str(caller.id), cost=None if cost is None else plain(cost), **used)
        tokens = measurement.input_tokens + measurement.output_tokens
        await self._correct(admission.taken, tokens - admission.expected.tokens, caller)

    async def _release(self, admission: Admission) -> None:
        try:
            await self.budgets.release(admission.hold, caller=admission.caller)
        except Exception:
            # It expires, and counts as spent: better too little is left than too much.
            log.exception("usage.not_released", owner_id=str(admission.caller.id), record_id=str(admission.hold.id))
        await self._correct(admission.taken, -admission.expected.tokens, admission.caller)

    async def _correct(self, taken: Taken | None, difference: int, caller: Caller) -> None:
        if taken is not None:
            await self.limits.correct(taken, difference, caller=caller)
