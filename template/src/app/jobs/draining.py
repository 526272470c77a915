"""Waiting until all jobs are done, before the queue or its workers are replaced."""

import asyncio
import math
from collections.abc import Callable

from app.database import Database
from app.jobs import repository

POLL_SECONDS = 0.5
# Retries further away than this many seconds, such as a webhook's, are not waited for: until they are due they exist
# only in the database, and then go to whichever queue is configured.
SOON = 600.0


async def drain(database: Database, report: Callable[[int], None], *, within: float | None = None) -> int:
    """Wait until no job is queued or running; return how many are left, which is 0 unless the time ran out.

    Jobs that are due more than `SOON` seconds from now are ignored.

    Args:
        database: Where the jobs are counted; ids in the queue do not matter.
        report: Called with the number of jobs left whenever it changes, except to 0.
        within: Longest wait in seconds; 0 checks once, None waits without limit.
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
