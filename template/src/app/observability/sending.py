"""What the exports of traces and metrics to a collector share."""

import asyncio
import threading
from collections.abc import Callable

from pydantic import HttpUrl

# Timeout of one export, and of the final flush on shutdown, in seconds.
SEND_SECONDS = 5.0
FLUSH_SECONDS = 5.0


def signal_url(endpoint: HttpUrl, signal: str) -> str:
    """Return the collector's URL for a signal, `traces` or `metrics`."""
    return f"{str(endpoint).rstrip('/')}/v1/{signal}"


async def flush_with_timeout(flush: Callable[[], object]) -> None:
    """Flush for at most `FLUSH_SECONDS`, because `flush` itself has no timeout and must not delay the shutdown."""
    flushing = threading.Thread(target=flush, daemon=True)
    flushing.start()
    await asyncio.to_thread(flushing.join, FLUSH_SECONDS)
