"""Helpers for cancellation: end background tasks reliably, and complete work that must not be interrupted."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

# Seconds after which a task that is still running is cancelled again.
PATIENCE = 1.0

# The event loop itself does not keep tasks alive.
_unfinished: set[asyncio.Task[Any]] = set()


async def cancel_and_wait(*tasks: asyncio.Future[Any], patience: float = PATIENCE) -> None:
    """Cancel tasks, repeatedly if needed, until each has ended; ignore their results and errors.

    Not for tasks whose cleanup takes longer than `patience` seconds: the next cancellation would interrupt it.
    """
    # Python 3.11 can lose a cancellation: its `asyncio.wait_for`, through which redis-py writes, may return instead.
    going = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=patience)
    await asyncio.gather(*tasks, return_exceptions=True)


async def finish(work: Coroutine[Any, Any, Result]) -> Result:
    """Complete the work even if the calling task is cancelled meanwhile, which then takes effect afterwards.

    After a second cancellation, the caller no longer waits; the work continues in the background.
    """
    doing = asyncio.create_task(work)
    _unfinished.add(doing)
    doing.add_done_callback(_unfinished.discard)
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        # If it were not awaited, it could stall with an open transaction where the event loop stops between two jobs.
        await asyncio.wait({doing})
        raise
