"""Lua scripts on a Valkey that may be unreachable; calls then fail fast, so that callers can fall back."""

import time
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

OUTAGE_SECONDS = 5.0  # until an unreachable server is tried again, so that not every request waits for it


Argument = int | float | str | bytes


class Script(Protocol):
    """A registered script."""

    def __call__(self, keys: Sequence[str], args: Sequence[Argument]) -> Awaitable[Any]:
        """Run it."""


class ValkeyScripts:
    """Runs scripts, and pauses after the server failed to answer.

    Args:
        client: client of the server.
        role: purpose of the scripts; the prefix of log events.
        outage_seconds: seconds between attempts while the server does not answer.
    """

    def __init__(self, client: Redis, role: str, outage_seconds: float = OUTAGE_SECONDS) -> None:
        self._client = client
        self._away, self._back = f"{role}.unavailable", f"{role}.available"
        self._outage_seconds = outage_seconds
        self._out_until: float | None = None

    def register(self, source: str) -> Script:
        """Register a script."""
        script: Script = self._client.register_script(source)
        return script

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> Any:  # noqa: ANN401
        """Run a script; return None while the server does not answer, and an empty list if the script returns nil."""
        now = time.monotonic()
        if self._out_until is not None:
            if now < self._out_until:
                return None
            self._out_until = now + self._outage_seconds  # only this request retries; the others do not wait
        try:
            answer = await script(keys, args)
        except (RedisError, OSError) as error:
            if self._out_until is None:
                # The error's message may contain the data that was sent.
                log.warning(self._away, error=type(error).__name__)
            self._out_until = now + self._outage_seconds
            return None
        if self._out_until is not None:
            log.info(self._back)
            self._out_until = None
        return answer if answer is not None else []
