"""Waiting until there is nothing left to do, before the queue or its workers are changed."""

import asyncio
import math
from collections.abc import Callable

from app.database import Database
from app.jobs import repository

POLL_SECONDS = 0.5
# What is tried again only after so many seconds, such as a webhook, is not waited for: until then it is in the database
# alone, and goes to the queue that there is by then.
SOON = 600.0


async def drain(database: Database, report: Callable[[int], None], *, within: float | None = None) -> int:
    """Wait until no job is queued or running, and return how many are left: 0, unless the time was up first.

    Jobs whose next try is more than `SOON` away are left alone.

    Args:
        database: Where the jobs are; what the queue holds does not count.
        report: Is told how many jobs are left whenever the number changes, but not of 0.
        within: Seconds to wait at most after the first look; 0 looks once, None waits for as long as it takes.
    """
    clock = asyncio.get_running_loop().time
    left, reported = await _count(database), 0
    end = math.inf if within is None else clock() + within
    while left and clock() < end:
        if left != reported:
            report(left)
            reported = left
        await asyncio.sleep(min(POLL_SECONDS, end - clock()))
        left = await _count(database)
    return left


async def _count(database: Database) -> int:
    async with database.transaction() as session:
        return await repository.count_unfinished(session, within=SOON)
