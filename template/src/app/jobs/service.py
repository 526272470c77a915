"""The use cases of jobs: started by other services, shown to and cancelled by their owners."""

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
from app.jobs.backlog import BacklogEntry
from app.jobs.models import Job, JobState
from app.jobs.ports import JobQueue
from app.pages import PageRequest

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class JobService:
    """Creates jobs, enqueues them and shows them to their owners.

    Attributes:
        uncancellable: kinds of jobs that owners may not cancel.
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
        """Store a job in the caller's transaction; call `enqueue` after the commit.

        A job with `run_after` need not be enqueued: the sweeper does it when the job is due.
        """
        return await repository.add(session, owner_id=owner_id, kind=kind, payload=payload, run_after=run_after)

    async def delay_queued(
        self, session: AsyncSession, *, owner_id: UUID, kind: str, payload: Mapping[str, Any], seconds: float
    ) -> None:
        """Delay an owner's queued jobs of a kind whose payloads contain `payload` by at least `seconds` from now.

        This counts no attempt.
        """
        await repository.delay_queued(session, owner_id=owner_id, kind=kind, payload=payload, seconds=seconds)

    async def find(self, session: AsyncSession, job_id: UUID | None) -> Job | None:
        """Find a job by its id; None if there is none. The caller has checked who owns it."""
        return None if job_id is None else await repository.load(session, job_id)

    async def enqueue(self, job_id: UUID) -> None:
        """Enqueue a recorded job; if the queue is down, the sweeper does it later."""
        try:
            await self.queue.enqueue(job_id)
        except UnavailableError as error:
            log.warning("job.enqueue_failed", job_id=str(job_id), cause=repr(error.__cause__))
            return
        async with self.database.transaction() as session:
            await repository.mark_enqueued(session, job_id)

    async def count_backlog(self) -> list[BacklogEntry]:
        """Count the unfinished jobs of all owners, for the metrics."""
        async with self.database.transaction() as session:
            return await repository.count_backlog(session)

    async def get(self, job_id: UUID, *, caller: Caller) -> Job:
        """Return one of the caller's jobs.

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
        """Cancel a job; if it is running, it stops within seconds. Cancelling is idempotent.

        Raises:
            NotFoundError: the caller has no such job.
            ConflictError: the job has ended, or its kind cannot be cancelled.
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
