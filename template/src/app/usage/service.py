"""Keeping account of what callers use."""

import asyncio
from dataclasses import asdict, dataclass, field
from datetime import date

import structlog

from app.auth.caller import Caller, Scope
from app.database import Database
from app.errors import UnprocessableError
from app.usage import repository
from app.usage.measurement import Measurement
from app.usage.repository import DailyUsage

log = structlog.get_logger(__name__)

MOST_DAYS = 366


@dataclass(frozen=True, slots=True)
class UsageService:
    """Writes down what was used, and adds it up."""

    database: Database
    _saving: set[asyncio.Task[None]] = field(default_factory=set, repr=False)

    async def record(self, measurement: Measurement, *, caller: Caller) -> None:
        """Put one use on the caller's account, even if the caller's own task is cancelled meanwhile."""
        saving = asyncio.create_task(self._save(measurement, caller))
        self._saving.add(saving)
        saving.add_done_callback(self._saving.discard)
        await asyncio.shield(saving)

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

    async def _save(self, measurement: Measurement, caller: Caller) -> None:
        used = asdict(measurement)
        try:
            async with self.database.transaction() as session:
                await repository.add(session, caller.id, caller.key_id, measurement)
        except Exception:
            # The answer was given; the log is the second place to find what it took.
            log.exception("usage.lost", owner_id=str(caller.id), **used)
        else:
            log.info("usage.recorded", owner_id=str(caller.id), **used)
