"""What cancellation shall not leave behind: tasks that go on for ever, and work that is half done."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

# Seconds after which a task that still goes on is cancelled once more.
PATIENCE = 1.0

# The event loop itself does not keep tasks alive.
_unfinished: set[asyncio.Task[Any]] = set()


async def cancel_and_wait(*tasks: asyncio.Future[Any], patience: float = PATIENCE) -> None:
    """Cancel endless tasks until each has ended, whatever it ends with.

    Not for tasks that clean up for longer than `patience` seconds: they would be interrupted in it.
    """
    # Python 3.11 can lose a cancellation: its `asyncio.wait_for`, through which redis-py writes, may return instead.
    going = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=patience)
    await asyncio.gather(*tasks, return_exceptions=True)


async def finish(work: Coroutine[Any, Any, Result]) -> Result:
    """Do work to its end, even if the task that waits for it is cancelled meanwhile: it is cancelled after that.

    A task that is cancelled once more does not wait any longer; the work goes on without it.
    """
    doing = asyncio.create_task(work)
    _unfinished.add(doing)
    doing.add_done_callback(_unfinished.discard)
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        # Left behind, it would stand still with its transaction where the event loop stops between two jobs.
        await asyncio.wait({doing})
        raise
