"""Sending traces and metrics to an OpenTelemetry collector."""

import asyncio
import threading
from collections.abc import Callable

from pydantic import HttpUrl

# Seconds that one sending may take, and that the last ones together may hold up the end of the process.
SEND_SECONDS = 5.0
FLUSH_SECONDS = 5.0


def address(endpoint: HttpUrl, signal: str) -> str:
    """Return the collector's HTTP address for one signal, `traces` or `metrics`."""
    return f"{str(endpoint).rstrip('/')}/v1/{signal}"


async def send_the_rest(flush: Callable[[], object]) -> None:
    """Flush for a few seconds at most, since flushing itself has no time limit and must not hold up the process."""
    flushing = threading.Thread(target=flush, daemon=True)
    flushing.start()
    await asyncio.to_thread(flushing.join, FLUSH_SECONDS)
