"""Deleting predictions that have been kept for long enough."""

import asyncio

import structlog

from app.database import Database
from app.predictions import repository
from app.predictions.settings import PredictionsSettings

log = structlog.get_logger(__name__)

# Rows that go at a time, in short transactions.
BATCH = 2000
# Seconds after which what is left waits for the next sweep: jobs wait for this one to end.
LONGEST = 1.0


async def expire(database: Database, settings: PredictionsSettings) -> int:
    """Delete predictions that are too old, also where none are kept any more, for about a second; returns how many.

    Any number of processes may do so at the same time.
    """
    clock = asyncio.get_running_loop().time
    end, gone = clock() + LONGEST, 0
    while True:
        async with database.transaction() as session:
            batch = await repository.delete_older(session, days=settings.retention_days, limit=BATCH)
        gone += batch
        if batch < BATCH or clock() >= end:
            break
    if gone:
        log.info("predictions.expired", predictions=gone)
    return gone
