"""Offloading of work that would block the event loop if there is much of it."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")


async def run_in_thread_if_large(work: Callable[[], Result], *, size: int, at_once: int) -> Result:
    """Run work in a thread, or directly if it is so small that a thread would take longer.

    Args:
        work: runs in the caller's context; once started, it is not cancelled.
        size: the amount of work, in any unit.
        at_once: the largest size that runs without a thread.
    """
    return work() if size <= at_once else await asyncio.to_thread(work)
