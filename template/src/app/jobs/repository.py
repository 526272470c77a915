"""SQL for jobs. All times are the database's, so the clocks of workers may differ."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import CTE, ColumnElement, and_, case, delete, func, not_, or_, select, true, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from app.jobs.backlog import BacklogEntry
from app.jobs.models import Job, JobState
from app.observability.spans import trace_parent
from app.pages import PageRequest, read_page

_UNENQUEUED: dict[str, Any] = {
    "state": JobState.QUEUED,
    "enqueued_at": None,
    "lease": None,
    "lease_until": None,
    "progress": 0.0,
}


async def add(
    session: AsyncSession,
    *,
    owner_id: UUID,
    kind: str,
    payload: Mapping[str, Any],
    run_after: datetime | None = None,
) -> Job:
    """Insert a job that is due now, or at `run_after`."""
    job = Job(owner_id=owner_id, kind=kind, payload=dict(payload), trace_parent=trace_parent())
    job.run_after = run_after or func.now()
    session.add(job)
    await session.flush()
    await session.refresh(job)
    return job


async def find(session: AsyncSession, owner_id: UUID, job_id: UUID) -> Job | None:
    """Find a job of this owner."""
    return await session.scalar(select(Job).where(Job.owner_id == owner_id, Job.id == job_id))


async def load(session: AsyncSession, job_id: UUID) -> Job | None:
    """Load a job by its id; the caller has checked its owner."""
    return await session.get(Job, job_id)


async def list_for(session: AsyncSession, owner_id: UUID, page: PageRequest) -> tuple[list[Job], str | None]:
    """List an owner's jobs, newest first."""
    return await read_page(session, select(Job).where(Job.owner_id == owner_id), Job, page)


async def cancel(
    session: AsyncSession, owner_id: UUID, job_id: UUID, *, except_kinds: Collection[str] = ()
) -> Job | None:
    """Cancel a job; return None if the owner has no such job, it has ended, or its kind is in `except_kinds`."""
    statement = update(Job).where(
        Job.owner_id == owner_id,
        Job.id == job_id,
        Job.state.in_([JobState.QUEUED, JobState.RUNNING]),
        Job.kind.not_in(except_kinds),
    )
    return await session.scalar(statement.values(state=JobState.CANCELLED, enqueued_at=None).returning(Job))


async def delay_queued(
    session: AsyncSession, *, owner_id: UUID, kind: str, payload: Mapping[str, Any], seconds: float
) -> None:
    """Delay an owner's queued jobs of a kind whose payloads contain `payload` by at least `seconds` from now."""
    waiting = (
        select(Job.id)
        .where(Job.finished_at.is_(None), Job.state == JobState.QUEUED, Job.run_after < _in(seconds))
        .where(Job.owner_id == owner_id, Job.kind == kind, Job.payload.contains(payload))
        .with_for_update(skip_locked=True)
    )
    statement = update(Job).where(Job.id.in_(waiting.scalar_subquery()))
    await session.execute(statement.values(run_after=_in(seconds), enqueued_at=None))


async def mark_enqueued(session: AsyncSession, job_id: UUID) -> None:
    """Record that the queue took the id of a new job.

    No effect if a worker was quicker and has already recorded the first attempt, counted or not.
    """
    untried = (Job.state == JobState.QUEUED, Job.attempt == 0, Job.error.is_(None), Job.run_after <= func.now())
    statement = update(Job).where(Job.id == job_id, *untried)
    await session.execute(statement.values(enqueued_at=func.now()))


async def mark_not_enqueued(session: AsyncSession, job_ids: Collection[UUID]) -> None:
    """Record that the queue did not take these ids."""
    await session.execute(update(Job).where(Job.id.in_(job_ids)).values(enqueued_at=None))


async def find_fairer(session: AsyncSession, job_id: UUID) -> UUID | None:
    """Find the due job that takes precedence because its owner has fewer jobs running; None if there is none.

    Of several, return the one that has been due longest.
    """
    owner_id = await session.scalar(select(Job.owner_id).where(Job.id == job_id, Job.state == JobState.QUEUED))
    running = select(Job.owner_id, func.count()).where(Job.finished_at.is_(None), Job.state == JobState.RUNNING)
    rows = await session.execute(running.group_by(Job.owner_id))
    counted = {row[0]: row[1] for row in rows}
    if owner_id not in counted:
        return None
    behind = [owner for owner, count in counted.items() if count >= counted[owner_id]]
    firsts = _first_of_each_owner()
    due = select(firsts.c.id).where(firsts.c.run_after <= func.now(), firsts.c.owner_id.not_in(behind))
    return await session.scalar(due.order_by(firsts.c.run_after).limit(1))


async def claim(session: AsyncSession, job_id: UUID, lease: UUID, seconds: float) -> Job | None:
    """Claim a job that is due, or a cancelled one that needs cleaning up; None if there is nothing to claim.

    If several workers try concurrently, one succeeds.
    """
    statement = update(Job).where(Job.id == job_id, _has_work())
    due = Job.state == JobState.QUEUED
    claimed = statement.values(
        state=case((due, JobState.RUNNING), else_=Job.state),
        attempt=case((due, Job.attempt + 1), else_=Job.attempt),
        lease=lease,
        lease_until=_in(seconds),
    )
    return await session.scalar(claimed.returning(Job))


async def heartbeat(
    session: AsyncSession, job_id: UUID, lease: UUID, *, seconds: float, progress: float
) -> JobState | None:
    """Extend a lease and write progress; return the job's state, or None if the lease was lost."""
    statement = update(Job).where(Job.id == job_id, Job.lease == lease)
    state = await session.scalar(statement.values(lease_until=_in(seconds), progress=progress).returning(Job.state))
    return None if state is None else JobState(state)


async def close(session: AsyncSession, job_id: UUID, lease: UUID, state: JobState, error: str | None) -> bool:
    """Finish a job in this state; return whether the lease still held and the job was not cancelled meanwhile."""
    expected = JobState.CANCELLED if state is JobState.CANCELLED else JobState.RUNNING
    values: dict[str, Any] = {"state": state, "error": error, "finished_at": func.now(), "lease": None}
    if state is JobState.SUCCEEDED:
        values["progress"] = 1.0
    return await _change_held(session, job_id, lease, expected, values | {"lease_until": None})


async def requeue(session: AsyncSession, job_id: UUID, lease: UUID, *, error: str, seconds: float) -> bool:
    """Schedule the next attempt in `seconds`; return whether the lease still held and the job was not cancelled."""
    values = _UNENQUEUED | {"error": error, "run_after": _in(seconds), "away_since": None}
    return await _change_held(session, job_id, lease, JobState.RUNNING, values)


async def requeue_uncounted(  # noqa: PLR0913 - the caller names each
    session: AsyncSession, job_id: UUID, lease: UUID, *, error: str, seconds: float, is_outage: bool
) -> bool:
    """Requeue without counting this attempt; `is_outage` marks that something the job needs was unavailable."""
    values = _UNENQUEUED | {"error": error, "run_after": _in(seconds), "attempt": Job.attempt - 1}
    values["away_since"] = func.coalesce(Job.away_since, func.now()) if is_outage else None
    return await _change_held(session, job_id, lease, JobState.RUNNING, values)


async def release(session: AsyncSession, job_id: UUID, lease: UUID) -> bool:
    """Requeue a job as if it had not been claimed; return whether the lease still held and it was not cancelled."""
    values = _UNENQUEUED | {"attempt": Job.attempt - 1}
    return await _change_held(session, job_id, lease, JobState.RUNNING, values)


async def requeue_expired(session: AsyncSession, limit: int) -> Sequence[UUID]:
    """Requeue jobs whose lease has expired, and return their ids; skip rows that another sweep has locked."""
    expired = (
        select(Job.id)
        .where(Job.finished_at.is_(None), Job.state == JobState.RUNNING, Job.lease_until < func.now())
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = update(Job).where(Job.id.in_(expired.scalar_subquery())).values(_UNENQUEUED)
    return (await session.scalars(statement.returning(Job.id))).all()


async def take_due(session: AsyncSession, *, requeue_after: float, longest: float, limit: int) -> Sequence[UUID]:
    """Mark due jobs as enqueued that the queue never had, or has had so long that it may have lost them.

    Those that it never had come first. The wait for the others starts at `requeue_after` and doubles up to `longest`.
    """
    waited = func.least(Job.enqueued_at - Job.run_after, timedelta(seconds=longest))
    patience = func.greatest(timedelta(seconds=requeue_after), waited)
    forgotten = or_(Job.enqueued_at.is_(None), Job.enqueued_at < func.now() - patience)
    due = select(Job.id).where(_has_work(), forgotten).order_by(Job.enqueued_at.nulls_first(), Job.run_after)
    locked = due.limit(limit).with_for_update(skip_locked=True).scalar_subquery()
    statement = update(Job).where(Job.id.in_(locked)).values(enqueued_at=func.now())
    return (await session.scalars(statement.returning(Job.id))).all()


async def count_unfinished(session: AsyncSession, *, within: float) -> int:
    """Count the unfinished jobs of all owners, cancelled ones included until they are cleaned up.

    Jobs due more than `within` seconds from now do not count: they are not in the queue yet.
    """
    later = and_(Job.state == JobState.QUEUED, Job.run_after > _in(within))
    statement = select(func.count()).select_from(Job).where(Job.finished_at.is_(None), not_(later))
    return await session.scalar(statement) or 0


async def count_backlog(session: AsyncSession) -> list[BacklogEntry]:
    """Count the unfinished jobs of all owners by kind and state."""
    waited = func.max(func.extract("epoch", func.now() - Job.run_after))
    statement = select(Job.kind, Job.state, func.count(), waited).where(Job.finished_at.is_(None))
    rows = await session.execute(statement.group_by(Job.kind, Job.state))
    return [BacklogEntry(kind, JobState(state), jobs, float(seconds)) for kind, state, jobs, seconds in rows]


async def delete_ended(session: AsyncSession, *, days: int, limit: int, keep_unsucceeded: Collection[str] = ()) -> int:
    """Delete at most `limit` jobs that ended `days` ago, and return how many; some kinds only if they succeeded."""
    old = select(Job.id).where(Job.finished_at < func.now() - timedelta(days=days)).order_by(Job.finished_at)
    done = old.where(or_(Job.state == JobState.SUCCEEDED, Job.kind.not_in(keep_unsucceeded)))
    locked = done.limit(limit).with_for_update(skip_locked=True).scalar_subquery()
    return len((await session.scalars(delete(Job).where(Job.id.in_(locked)).returning(Job.id))).all())


async def _change_held(
    session: AsyncSession, job_id: UUID, lease: UUID, expected: JobState, values: dict[str, Any]
) -> bool:
    statement = update(Job).where(Job.id == job_id, Job.lease == lease, Job.state == expected).values(values)
    return await session.scalar(statement.returning(Job.id)) is not None


def _first_of_each_owner() -> CTE:
    """Walk the index from owner to owner, so that an owner with many queued jobs costs no more than another."""
    first = select(Job.id, Job.owner_id, Job.run_after).where(Job.finished_at.is_(None), Job.state == JobState.QUEUED)
    found = first.order_by(Job.owner_id, Job.run_after).limit(1).cte("first_of_each_owner", recursive=True)
    job = aliased(Job)
    further = select(job.id, job.owner_id, job.run_after).where(
        job.finished_at.is_(None), job.state == JobState.QUEUED, job.owner_id > found.c.owner_id
    )
    following = further.order_by(job.owner_id, job.run_after).limit(1).lateral()
    return found.union_all(select(following).select_from(found).join(following, true()))


def _has_work() -> ColumnElement[bool]:
    unheld = or_(Job.lease_until.is_(None), Job.lease_until < func.now())
    due = and_(Job.state == JobState.QUEUED, Job.run_after <= func.now())
    return and_(Job.finished_at.is_(None), or_(due, and_(Job.state == JobState.CANCELLED, unheld)))


def _in(seconds: float) -> ColumnElement[Any]:
    return func.now() + timedelta(seconds=seconds)
