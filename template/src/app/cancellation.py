"""Ending tasks that would go on for ever."""

import asyncio
from typing import Any

# Seconds after which a task that still goes on is cancelled once more.
PATIENCE = 1.0


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
