"""Deleting predictions that have been kept for long enough."""

import structlog

from app.database import Database
from app.predictions import repository
from app.predictions.settings import PredictionsSettings

log = structlog.get_logger(__name__)

# Rows that go at a time: what has piled up is worked off sweep by sweep, in short transactions.
BATCH = 2000


async def expire(database: Database, settings: PredictionsSettings) -> int:
    """Delete some of the predictions that are too old, also where none are kept any more; returns how many.

    Any number of processes may do so at the same time.
    """
    async with database.transaction() as session:
        gone = await repository.delete_older(session, days=settings.retention_days, limit=BATCH)
    if gone:
        log.info("predictions.expired", predictions=gone)
    return gone
