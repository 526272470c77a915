"""The sweeper: enqueues jobs that are due and those that the queue or a worker has lost."""

import structlog

from app.database import Database
from app.errors import UnavailableError
from app.jobs import repository
from app.jobs.ports import JobQueue
from app.jobs.settings import JobsSettings

log = structlog.get_logger(__name__)

# Most rows per sweep: a long backlog takes several sweeps, each with short transactions.
BATCH = 200

# Longest wait in seconds before an unclaimed id is enqueued again, unless `requeue_after` is longer.
LONGEST_REQUEUE = 3600.0


async def sweep(database: Database, queue: JobQueue, settings: JobsSettings) -> int:
    """Enqueue the jobs that are due and not running; return how many ids the queue took.

    These include jobs whose worker has died, retries that are due, and ids that never reached the queue or that it
    lost. Sweeps may run concurrently.
    """
    # Jobs that wait long do so in a long queue, which duplicates would only lengthen.
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
