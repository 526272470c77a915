"""Retention: deletes old jobs and predictions."""

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

# Rows per transaction.
BATCH = 2000
# Seconds per kind of rows; the rest waits for the next sweep, because jobs wait for this one to end.
LONGEST = 1.0


class DeleteOlder(Protocol):
    """Deletes rows that are older than so many days, and returns how many."""

    async def __call__(self, session: AsyncSession, *, days: int, limit: int) -> int:
        """Delete at most `limit` rows."""
        ...


async def expire_all(database: Database, settings: Settings) -> None:
    """Delete ended jobs and predictions that are older than the configured retention."""
    # An unsuccessful job of a document is the only record of the files and vectors that it may have left.
    delete_ended = partial(jobs.delete_ended, keep_unsucceeded=(INGEST, PURGE))
    ended = await expire(database, delete_ended, days=settings.jobs.retention_days)
    deleted = await expire(database, predictions.delete_older, days=settings.predictions.retention_days)
    if ended or deleted:
        log.info("retention.expired", jobs=ended, predictions=deleted)


async def expire(database: Database, delete_older: DeleteOlder, *, days: int) -> int:
    """Delete rows of one kind that are older than so many days, for about a second; return how many.

    Several processes may do so concurrently.
    """
    clock = asyncio.get_running_loop().time
    end, total = clock() + LONGEST, 0
    while True:
        async with database.transaction() as session:
            batch = await delete_older(session, days=days, limit=BATCH)
        total += batch
        if batch < BATCH or clock() >= end:
            return total
