"""Finds jobs that the queue or a worker has lost, and hands them over again."""

import structlog

from app.database import Database
from app.errors import UnavailableError
from app.jobs import repository
from app.jobs.ports import JobQueue
from app.jobs.settings import JobsSettings

log = structlog.get_logger(__name__)

# Rows that one sweep takes at most: a long backlog is worked off sweep by sweep, in short transactions.
BATCH = 200

# Seconds after which an id that no worker took is sent once more at the latest, unless `requeue_after` is longer.
LONGEST_REQUEUE = 3600.0


async def sweep(database: Database, queue: JobQueue, settings: JobsSettings) -> int:
    """Enqueue what is due and not under way; returns how many ids the queue took.

    That covers jobs whose worker has died, retries whose time has come, and ids that never reached
    the queue or were lost by it. Any number of sweeps may run at the same time.
    """
    # What waits long does so in a long queue, which copies would only make longer.
    longest = LONGEST_REQUEUE if queue.keeps_copies else settings.requeue_after
    async with database.transaction() as session:
        expired = await repository.requeue_expired(session, BATCH)
        due = await repository.take_due(session, requeue_after=settings.requeue_after, longest=longest, limit=BATCH)
    for job_id in expired:
        log.warning("job.lease_expired", job_id=str(job_id))
    taken = 0
    try:
        for job_id in due:
            await queue.enqueue(job_id)
            taken += 1
    except UnavailableError:
        log.warning("sweep.queue_unavailable", jobs=len(due) - taken)
    finally:
        if taken < len(due):
            async with database.transaction() as session:
                await repository.mark_not_enqueued(session, due[taken:])
    return taken
