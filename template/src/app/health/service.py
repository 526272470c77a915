"""Asking every dependency whether it answers."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import structlog

from app.chat.circuits import CircuitBreaker, CircuitState
from app.chat.ports import LanguageModel
from app.errors import AppError

log = structlog.get_logger(__name__)

Ping = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class HealthService:
    """Pings the dependencies, each for at most `timeout` seconds.

    Attributes:
        optional: those without which requests are served all the same.
    """

    pings: Mapping[str, Ping]
    optional: Collection[str] = ()
    timeout: float = 2.0

    async def check(self) -> dict[str, str | None]:
        """Ping all at once; gives a word about what is wrong, or None, for each."""
        words = await asyncio.gather(*(self._ping(name, ping) for name, ping in self.pings.items()))
        return dict(zip(self.pings, words, strict=True))

    async def _ping(self, name: str, ping: Ping) -> str | None:
        try:
            async with asyncio.timeout(self.timeout):
                await ping()
        except Exception as error:  # noqa: BLE001 - a probe reports whatever is wrong
            log.warning("dependency.unavailable", dependency=name, error=repr(error))
            return error.code if isinstance(error, AppError) else "unavailable"
        return None


async def look_at_circuits(breaker: CircuitBreaker, models: Iterable[LanguageModel]) -> dict[str, CircuitState]:
    """See how the circuit of each model stands."""
    names = sorted({model.name for model in models})
    return {name: (await breaker.look(name)).state for name in names}
