"""Keeping account of what callers use, and callers within their limits."""

import asyncio
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, field
from datetime import date

import structlog

from app.auth.caller import Caller, Scope
from app.database import Database
from app.errors import UnprocessableError
from app.usage import repository
from app.usage.admission import Admission
from app.usage.measurement import Expectation, Measurement
from app.usage.rate_limits import RateLimits
from app.usage.repository import DailyUsage

log = structlog.get_logger(__name__)

MOST_DAYS = 366


@dataclass(frozen=True, slots=True)
class UsageService:
    """Lets requests through, writes down what they used, and adds it up."""

    database: Database
    limits: RateLimits
    _doing: set[asyncio.Task[None]] = field(default_factory=set, repr=False)

    async def admit(self, expected: Expectation, *, caller: Caller) -> Admission:
        """Let a request through, which is then recorded or released.

        Raises:
            TooManyRequestsError: a limit of the caller is reached for now.
            PayloadTooLargeError: the request can never be within the limits.
        """
        taken = await self.limits.take(expected.tokens, caller=caller)
        return Admission(caller, expected, taken)

    async def record(self, measurement: Measurement, admission: Admission) -> None:
        """Put one use on the caller's account, even if the caller's own task is cancelled meanwhile."""
        await self._see_through(self._settle(measurement, admission))

    async def release(self, admission: Admission) -> None:
        """Give back what was held for a request that did not reach the model."""
        await self._see_through(self._correct(0, admission))

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

    async def _see_through(self, work: Coroutine[None, None, None]) -> None:
        """Do something to its end, even if the task that asks for it is cancelled meanwhile."""
        doing = asyncio.create_task(work)
        self._doing.add(doing)
        doing.add_done_callback(self._doing.discard)
        await asyncio.shield(doing)

    async def _settle(self, measurement: Measurement, admission: Admission) -> None:
        caller, used = admission.caller, asdict(measurement)
        try:
            async with self.database.transaction() as session:
                await repository.add(session, caller.id, caller.key_id, measurement)
        except Exception:
            # The answer was given; the log is the second place to find what it took.
            log.exception("usage.lost", owner_id=str(caller.id), **used)
        else:
            log.info("usage.recorded", owner_id=str(caller.id), **used)
        await self._correct(measurement.input_tokens + measurement.output_tokens, admission)

    async def _correct(self, tokens: int, admission: Admission) -> None:
        if admission.taken is not None:
            await self.limits.correct(admission.taken, tokens - admission.expected.tokens, caller=admission.caller)
