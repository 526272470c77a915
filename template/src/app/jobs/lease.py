"""The lease that a worker holds on a job: claimed, extended by a heartbeat, ended with the outcome."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

import structlog

from app.database import Database
from app.event_publisher import Event, EventPublisher, EventType
from app.jobs import repository
from app.jobs.models import Job, JobState
from app.jobs.settings import JobsSettings

log = structlog.get_logger(__name__)

# Outcomes that owners are notified of; a cancelled job they cancelled themselves.
ANNOUNCED: Mapping[JobState, EventType] = {JobState.SUCCEEDED: "job.succeeded", JobState.FAILED: "job.failed"}


@dataclass(slots=True)
class Lease:
    """Exclusive access to one job; its writes have no effect once the lease is lost.

    Attributes:
        job: the row as it was claimed.
        began: when the job was claimed, by the event loop's clock.
        deadline: when the lease expires unless it is extended, by the same clock.
        progress: written by the next heartbeat, 0 to 1.
    """

    job: Job
    began: float
    deadline: float
    _id: UUID
    _database: Database
    _settings: JobsSettings
    _publisher: EventPublisher | None = None
    progress: float = field(default=0.0)
    _closing: bool = False
    _announced: Sequence[UUID] = ()

    async def report(self, fraction: float) -> None:
        """Set the progress, clamped to 0 to 1; the next heartbeat writes it."""
        self.progress = min(max(fraction, 0.0), 1.0)

    async def watch(self) -> JobState | None:
        """Send heartbeats until the job is no longer running; return its state, or None if the lease is lost.

        Once `close` has begun, a change of state no longer ends the watch: `close` returns the outcome.
        """
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(self._settings.heartbeat)
            started = clock()
            try:
                async with asyncio.timeout_at(self.deadline):
                    state = await self.beat()
            except Exception as error:  # noqa: BLE001 - the database may recover before the lease expires
                if clock() >= self.deadline:
                    return None
                log.warning("job.heartbeat_failed", error=repr(error))
                continue
            if state is not JobState.RUNNING and not self._closing:
                return state
            self.deadline = started + self._settings.lease

    async def beat(self) -> JobState | None:
        """Extend the lease once and write progress; return the job's state, or None if the lease is lost."""
        seconds = self._settings.lease
        async with self._database.transaction() as session:
            return await repository.heartbeat(session, self.job.id, self._id, seconds=seconds, progress=self.progress)

    async def close(self, state: JobState, error: str | None = None) -> bool:
        """Finish the job in this state; return False if it was cancelled or the lease lost before."""
        self._closing = True
        async with self._database.transaction() as session:
            closed = await repository.close(session, self.job.id, self._id, state, error)
            if closed and self._publisher and state in ANNOUNCED:
                event = Event(ANNOUNCED[state], self.job.id, self.job.kind)
                self._announced = await self._publisher.record(session, event, owner_id=self.job.owner_id)
        return closed

    async def announce(self) -> None:
        """Start the notifications of the owner that `close` recorded."""
        if self._publisher:
            await self._publisher.start(self._announced)

    async def requeue(self, error: str, seconds: float) -> bool:
        """Schedule a retry in `seconds`; return False if the job was cancelled or the lease lost before."""
        async with self._database.transaction() as session:
            return await repository.requeue(session, self.job.id, self._id, error=error, seconds=seconds)

    async def requeue_uncounted(self, error: str, seconds: float, *, is_outage: bool) -> bool:
        """Requeue without counting this attempt; `is_outage` means that something the job needs was unavailable."""
        async with self._database.transaction() as session:
            return await repository.requeue_uncounted(
                session, self.job.id, self._id, error=error, seconds=seconds, is_outage=is_outage
            )

    async def release(self) -> bool:
        """Return the job to the queue uncounted; return False if it was cancelled or the lease lost before."""
        async with self._database.transaction() as session:
            return await repository.release(session, self.job.id, self._id)


async def claim(
    database: Database, job_id: UUID, settings: JobsSettings, publisher: EventPublisher | None = None
) -> Lease | None:
    """Claim a job, or one that takes precedence; return None if there is nothing to do or another worker has it."""
    lease = uuid4()
    began = asyncio.get_running_loop().time()
    async with database.transaction() as session:
        first = await repository.find_fairer(session, job_id)
        job = None if first is None else await repository.claim(session, first, lease, settings.lease)
        job = job or await repository.claim(session, job_id, lease, settings.lease)
    if job is not None and job.id != job_id:
        log.info("job.gave_way", job_id=str(job_id), to=str(job.id))
        # Its id has left the queue. A separate transaction: one that holds two rows must not wait for a third.
        async with database.transaction() as session:
            await repository.mark_not_enqueued(session, [job_id])
    return None if job is None else Lease(job, began, began + settings.lease, lease, database, settings, publisher)
