"""Work that would keep the event loop where there is much of it."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def run_in_thread_if_large(work: Callable[[], Result], *, size: int, at_once: int) -> Result:
    """Do some work in a thread, or without one where there is so little that it is done before a thread is reached.

    Args:
        work: runs in the context of who waits for it; once begun, it is not cancelled.
        size: how much there is, in whatever the work grows with.
        at_once: up to which size it is done without a thread.
    """
    return work() if size <= at_once else await asyncio.to_thread(work)
