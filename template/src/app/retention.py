"""Deleting rows that have been kept for long enough."""

import asyncio
from functools import partial
from typing import Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.documents.service import INGEST, PURGE
from app.jobs import repository as jobs
from app.predictions import repository as predictions
from app.settings import Settings

log = structlog.get_logger(__name__)

# Rows that go at a time, in short transactions.
BATCH = 2000
# Seconds for one kind of rows, after which what is left waits for the next sweep: jobs wait for this one to end.
LONGEST = 1.0


class DeleteOlder(Protocol):
    """Deletes some of the rows that are older than so many days, and tells how many."""

    async def __call__(self, session: AsyncSession, *, days: int, limit: int) -> int:
        """Delete `limit` rows at most."""
        ...


async def expire_all(database: Database, settings: Settings) -> None:
    """Delete what is older than the settings keep it: jobs that have ended, and predictions."""
    # A job that failed to index or delete a document is all that is known of what it may have left behind.
    delete_ended = partial(jobs.delete_ended, keep_unsucceeded=(INGEST, PURGE))
    ended = await expire(database, delete_ended, days=settings.jobs.retention_days)
    told = await expire(database, predictions.delete_older, days=settings.predictions.retention_days)
    if ended or told:
        log.info("retention.expired", jobs=ended, predictions=told)


async def expire(database: Database, delete_older: DeleteOlder, *, days: int) -> int:
    """Delete rows of one kind that are older than so many days, for about a second; returns how many.

    Any number of processes may do so at the same time.
    """
    clock = asyncio.get_running_loop().time
    end, gone = clock() + LONGEST, 0
    while True:
        async with database.transaction() as session:
            batch = await delete_older(session, days=days, limit=BATCH)
        gone += batch
        if batch < BATCH or clock() >= end:
            return gone
