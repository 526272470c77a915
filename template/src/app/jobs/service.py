"""Jobs as their owners see them, and as other use cases start them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.caller import Caller, Scope
from app.database import Database
from app.errors import ConflictError, NotFoundError, UnavailableError
from app.jobs import repository
from app.jobs.backlog import Waiting
from app.jobs.models import Job, JobState
from app.jobs.ports import JobQueue
from app.pages import PageRequest

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JobService:
    """Records jobs, starts them, shows them to their owners.

    Attributes:
        uncancellable: the kinds of jobs that nobody may cancel, because somebody relies on them.
    """

    database: Database
    queue: JobQueue
    uncancellable: Collection[str] = field(default=(), kw_only=True)

    async def record(
        self,
        session: AsyncSession,
        *,
        owner_id: UUID,
        kind: str,
        payload: Mapping[str, Any],
        run_after: datetime | None = None,
    ) -> Job:
        """Record a job in the transaction of the use case that it belongs to; `enqueue` it after the commit.

        One that is to run later needs no more: the sweeper sees to it.
        """
        return await repository.add(session, owner_id=owner_id, kind=kind, payload=payload, run_after=run_after)

    async def delay_queued(
        self, session: AsyncSession, *, owner_id: UUID, kind: str, payload: Mapping[str, Any], seconds: float
    ) -> None:
        """Let an owner's queued jobs of a kind, whose payloads hold this, wait for so many seconds at least.

        No try of theirs is counted for it.
        """
        await repository.delay_queued(session, owner_id=owner_id, kind=kind, payload=payload, seconds=seconds)

    async def find(self, session: AsyncSession, job_id: UUID | None) -> Job | None:
        """Find the job that another use case has noted; None if there is none. Its owner is the other's business."""
        return None if job_id is None else await repository.load(session, job_id)

    async def enqueue(self, job_id: UUID) -> None:
        """Hand a recorded job to the workers; if the queue is down, the sweeper does it later."""
        try:
            await self.queue.enqueue(job_id)
        except UnavailableError as error:
            log.warning("job.enqueue_failed", job_id=str(job_id), cause=repr(error.__cause__))
            return
        async with self.database.transaction() as session:
            await repository.mark_enqueued(session, job_id)

    async def count_backlog(self) -> list[Waiting]:
        """Count everybody's jobs in which there is work left, for whoever runs the service."""
        async with self.database.transaction() as session:
            return await repository.count_backlog(session)

    async def get(self, job_id: UUID, *, caller: Caller) -> Job:
        """Return a job.

        Raises:
            NotFoundError: the caller has no such job.
        """
        caller.require(Scope.JOBS)
        async with self.database.transaction() as session:
            return _found(await repository.find(session, caller.id, job_id))

    async def list_for(self, page: PageRequest, *, caller: Caller) -> tuple[list[Job], str | None]:
        """List the caller's jobs, newest first."""
        caller.require(Scope.JOBS)
        async with self.database.transaction() as session:
            return await repository.list_for(session, caller.id, page)

    async def cancel(self, job_id: UUID, *, caller: Caller) -> Job:
        """Cancel a job; a worker that is at it stops within seconds. Cancelling twice is harmless.

        Raises:
            NotFoundError: the caller has no such job.
            ConflictError: the job has ended, or is of a uncancellable kind.
        """
        caller.require(Scope.JOBS)
        async with self.database.transaction() as session:
            cancelled = await repository.cancel(session, caller.id, job_id, except_kinds=self.uncancellable)
            job = cancelled or _found(await repository.find(session, caller.id, job_id))
        if job.kind in self.uncancellable:
            raise ConflictError(f"Jobs of the kind {job.kind} cannot be cancelled.")
        if job.state != JobState.CANCELLED:
            raise ConflictError("The job has already ended.")
        return job


def _found(job: Job | None) -> Job:
    if job is None:
        raise NotFoundError("There is no such job.")
    return job
