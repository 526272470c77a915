"""Scripts on a Valkey that may be away: whoever asks then is told so at once, and does without."""

import time
from collections.abc import Awaitable, Sequence
from typing import Any, Protocol

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

log = structlog.get_logger(__name__)

OUTAGE_SECONDS = 5.0  # until a server that did not answer is tried again, so that not every request waits for it


Argument = int | float | str | bytes


class Script(Protocol):
    """A script that the server knows."""

    def __call__(self, keys: Sequence[str], args: Sequence[Argument]) -> Awaitable[Any]:
        """Run it."""


class ValkeyScripts:
    """Runs scripts, and rests for a while when the server does not answer.

    Args:
        client: the way to the server.
        role: what they are for; events in the log begin with it.
        outage_seconds: how long it rests.
    """

    def __init__(self, client: Redis, role: str, outage_seconds: float = OUTAGE_SECONDS) -> None:
        self._client = client
        self._away, self._back = f"{role}.unavailable", f"{role}.available"
        self._outage_seconds = outage_seconds
        self._out_until: float | None = None

    def register(self, source: str) -> Script:
        """Make a script known."""
        script: Script = self._client.register_script(source)
        return script

    async def run(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> Any:  # noqa: ANN401
        """Run a script; None while the server does not answer, an empty list where the script answers nothing."""
        now = time.monotonic()
        if self._out_until is not None:
            if now < self._out_until:
                return None
            self._out_until = now + self._outage_seconds  # one request tries; the others do not wait with it
        try:
            answer = await script(keys, args)
        except (RedisError, OSError) as error:
            if self._out_until is None:
                # Its message may have what was sent.
                log.warning(self._away, error=type(error).__name__)
            self._out_until = now + self._outage_seconds
            return None
        if self._out_until is not None:
            log.info(self._back)
            self._out_until = None
        return answer if answer is not None else []
