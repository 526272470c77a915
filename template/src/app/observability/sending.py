"""What sending to a collector of OpenTelemetry takes, for traces and for metrics."""

import asyncio
import threading
from collections.abc import Callable

from pydantic import HttpUrl

# Seconds that one sending may take, and that the last ones together may hold up the end of the process.
SEND_SECONDS = 5.0
FLUSH_SECONDS = 5.0


def address(endpoint: HttpUrl, signal: str) -> str:
    """Say where the collector takes one signal, `traces` or `metrics`, over HTTP."""
    return f"{str(endpoint).rstrip('/')}/v1/{signal}"


async def send_the_rest(flush: Callable[[], object]) -> None:
    """Send what is left, for a few seconds at most: flushing knows no limit of time, and must not keep the process."""
    flushing = threading.Thread(target=flush, daemon=True)
    flushing.start()
    await asyncio.to_thread(flushing.join, FLUSH_SECONDS)
