"""Tests that owners with waiting jobs take turns."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy import func, text

from app.auth.models import Account
from app.database import Database
from app.jobs.lease import claim
from app.jobs.models import JobState
from app.jobs.runner import JobRunner
from app.jobs.sweeper import sweep
from tests.jobs.fakes import FakeHandler, FakeJobQueue
from tests.jobs.rows import KIND, QUICK, add_job, change_job, read_job

LATER = func.now() + text("interval '1 hour'")


@pytest.fixture
async def owners(database: Database) -> Sequence[UUID]:
    """Return the ids of three accounts."""
    accounts = [Account(email=f"{name}@example.com") for name in ("ada", "bob", "eve")]
    async with database.transaction() as session:
        session.add_all(accounts)
    return [account.id for account in accounts]


async def take(database: Database, job_id: UUID) -> UUID | None:
    """Claim a job as a worker does for this id, and return the id of the job that it gets."""
    lease = await claim(database, job_id, QUICK)
    return None if lease is None else lease.job.id


async def test_an_owner_who_is_alone_gets_every_place(database: Database, account_id: UUID) -> None:
    ids = [await add_job(database, account_id) for _ in range(5)]
    assert [await take(database, job_id) for job_id in ids] == ids


async def test_who_has_fewer_jobs_running_goes_first_though_others_came_before(
    database: Database, owners: Sequence[UUID]
) -> None:
    ada, bob, eve = owners
    flood = [await add_job(database, ada) for _ in range(6)]
    assert [await take(database, job_id) for job_id in flood[:2]] == flood[:2]
    bobs = [await add_job(database, bob) for _ in range(2)]
    eves = await add_job(database, eve)
    # The longest wait goes first, until bob has as many jobs running and eve has none left.
    assert [await take(database, job_id) for job_id in flood[2:5]] == [*bobs, eves]
    assert await take(database, flood[5]) == flood[5]


async def test_the_job_that_gave_way_is_sent_again_and_no_try_was_counted(
    database: Database, owners: Sequence[UUID]
) -> None:
    first, second = [await add_job(database, owners[0]) for _ in range(2)]
    await take(database, first)
    other = await add_job(database, owners[1])
    await change_job(database, second, {"enqueued_at": func.now()})
    await change_job(database, other, {"enqueued_at": func.now()})
    assert await take(database, second) == other
    job = await read_job(database, second)
    assert (job.state, job.attempt, job.enqueued_at) == (JobState.QUEUED, 0, None)
    queue = FakeJobQueue()
    await sweep(database, queue, QUICK)
    assert queue.ids == [second]
    assert await take(database, other) is None
    assert await take(database, second) == second


async def test_nobody_gives_way_to_what_is_not_due_or_has_as_many_running(
    database: Database, owners: Sequence[UUID]
) -> None:
    ada, bob, eve = owners
    mine = [await add_job(database, ada) for _ in range(2)]
    theirs = [await add_job(database, bob) for _ in range(2)]
    await take(database, mine[0])
    await take(database, theirs[0])
    await change_job(database, await add_job(database, eve), {"run_after": LATER})
    await change_job(database, await add_job(database, eve), {"state": JobState.CANCELLED})
    assert await take(database, mine[1]) == mine[1]
    assert await take(database, theirs[1]) == theirs[1]


async def test_several_workers_at_once_take_each_job_once(database: Database, owners: Sequence[UUID]) -> None:
    flood = [await add_job(database, owners[0]) for _ in range(12)]
    await take(database, flood[0])
    waiting = flood[1:] + [await add_job(database, owner) for owner in owners[1:] for _ in range(3)]
    taken: list[UUID] = []
    # Jobs that gave way are delivered again, as by the sweeper.
    while left := [job_id for job_id in waiting if job_id not in taken]:
        found = await asyncio.gather(*(take(database, job_id) for job_id in left))
        assert any(found)
        taken += filter(None, found)
    assert sorted(taken) == sorted(waiting)


async def test_what_is_worked_on_is_the_job_that_goes_first(database: Database, owners: Sequence[UUID]) -> None:
    mine = [await add_job(database, owners[0]) for _ in range(2)]
    await take(database, mine[0])
    other = await add_job(database, owners[1], n=1)
    handler = FakeHandler()
    await JobRunner(database, {KIND: handler}, QUICK).run(mine[1])
    assert [(each.job_id, each.owner_id, each.payload) for each in handler.attempts] == [(other, owners[1], {"n": 1})]
    assert (await read_job(database, other)).state == JobState.SUCCEEDED
