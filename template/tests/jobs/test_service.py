"""Tests of the job service, as use cases and owners call it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func

from app.auth.caller import Caller
from app.database import Database
from app.errors import ConflictError, ForbiddenError, NotFoundError
from app.jobs.models import JobState
from app.jobs.service import JobService
from app.pages import PageRequest
from tests.jobs.fakes import FakeJobQueue
from tests.jobs.rows import KIND, add_job, change_job, read_job


@pytest.fixture
def queue() -> FakeJobQueue:
    return FakeJobQueue()


@pytest.fixture
def service(database: Database, queue: FakeJobQueue) -> JobService:
    return JobService(database, queue)


@pytest.fixture
def caller(account_id: UUID) -> Caller:
    return Caller(id=account_id)


async def test_a_recorded_job_is_queued_and_belongs_to_its_owner(
    service: JobService, database: Database, caller: Caller
) -> None:
    async with database.transaction() as session:
        job = await service.record(session, owner_id=caller.id, kind="documents.ingest", payload={"n": 1})
    seen = await service.get(job.id, caller=caller)
    assert (seen.state, seen.progress, seen.attempt, seen.error) == (JobState.QUEUED, 0.0, 0, None)
    assert seen.payload == {"n": 1}


async def test_a_job_whose_transaction_is_rolled_back_never_existed(
    service: JobService, database: Database, caller: Caller
) -> None:
    async with database.transaction() as session:
        await service.record(session, owner_id=caller.id, kind="documents.ingest", payload={})
        await session.rollback()
    assert await service.list_for(PageRequest(), caller=caller) == ([], None)


async def test_an_enqueued_job_is_noted_as_such(
    service: JobService, database: Database, queue: FakeJobQueue, account_id: UUID
) -> None:
    job_id = await add_job(database, account_id)
    await service.enqueue(job_id)
    assert queue.ids == [job_id]
    assert (await read_job(database, job_id)).enqueued_at is not None


async def test_a_dead_queue_does_not_fail_the_use_case_and_leaves_the_job_to_the_sweeper(
    service: JobService, database: Database, queue: FakeJobQueue, account_id: UUID
) -> None:
    job_id = await add_job(database, account_id)
    queue.down = True
    await service.enqueue(job_id)
    assert (await read_job(database, job_id)).enqueued_at is None


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({"attempt": 1, "error": "The archive is closed."}, id="its first try has failed"),
        pytest.param({"error": "The archive is away."}, id="its first try has failed and does not count"),
        pytest.param({"run_after": func.now() + timedelta(seconds=9)}, id="it has been put off"),
        pytest.param({"state": JobState.RUNNING, "attempt": 1}, id="it is under way"),
    ],
)
async def test_noting_an_enqueued_job_late_changes_nothing(
    service: JobService, database: Database, account_id: UUID, row: Mapping[str, Any]
) -> None:
    """A waiting retry must not look enqueued, or it would never be enqueued again."""
    job_id = await add_job(database, account_id)
    await change_job(database, job_id, row)
    await service.enqueue(job_id)
    assert (await read_job(database, job_id)).enqueued_at is None


async def test_another_owners_job_is_not_found(service: JobService, database: Database, account_id: UUID) -> None:
    job_id = await add_job(database, account_id)
    stranger = Caller(id=uuid4())
    with pytest.raises(NotFoundError):
        await service.get(job_id, caller=stranger)
    with pytest.raises(NotFoundError):
        await service.cancel(job_id, caller=stranger)
    assert await service.list_for(PageRequest(), caller=stranger) == ([], None)
    assert (await read_job(database, job_id)).state == JobState.QUEUED


async def test_credentials_without_the_scope_see_no_jobs(
    service: JobService, database: Database, account_id: UUID
) -> None:
    job_id = await add_job(database, account_id)
    limited = Caller(id=account_id, scopes=frozenset())
    with pytest.raises(ForbiddenError):
        await service.get(job_id, caller=limited)
    with pytest.raises(ForbiddenError):
        await service.list_for(PageRequest(), caller=limited)
    with pytest.raises(ForbiddenError):
        await service.cancel(job_id, caller=limited)


async def test_jobs_are_listed_newest_first_page_by_page(
    service: JobService, database: Database, caller: Caller
) -> None:
    ids = [await add_job(database, caller.id) for _ in range(3)]
    first, cursor = await service.list_for(PageRequest(limit=2), caller=caller)
    rest, end = await service.list_for(PageRequest(limit=2, cursor=cursor), caller=caller)
    assert [job.id for job in first + rest] == ids[::-1]
    assert end is None


async def test_cancelling_twice_is_harmless(service: JobService, database: Database, caller: Caller) -> None:
    job_id = await add_job(database, caller.id)
    for _ in range(2):
        assert (await service.cancel(job_id, caller=caller)).state == JobState.CANCELLED


@pytest.mark.parametrize("state", [JobState.SUCCEEDED, JobState.FAILED])
async def test_what_has_ended_cannot_be_cancelled(
    service: JobService, database: Database, caller: Caller, state: JobState
) -> None:
    job_id = await add_job(database, caller.id)
    await change_job(database, job_id, {"state": state})
    with pytest.raises(ConflictError):
        await service.cancel(job_id, caller=caller)


async def test_jobs_that_are_put_off_run_later_and_no_sooner_than_they_would_have(
    service: JobService, database: Database, caller: Caller
) -> None:
    job_id = await add_job(database, caller.id, to="ada", n=1)
    late = {"run_after": func.now() + timedelta(hours=1)}
    others: list[tuple[UUID, Mapping[str, Any]]] = [
        (await add_job(database, caller.id, to="ada"), late),
        (await add_job(database, caller.id, to="ada"), {"state": JobState.RUNNING}),
        (await add_job(database, caller.id, to="eve"), {"attempt": 1}),
        (await add_job(database, caller.id, "test.rest", to="ada"), {"attempt": 1}),
    ]
    before = []
    for other_id, values in others:
        await change_job(database, other_id, values)
        before.append((await read_job(database, other_id)).run_after)
    await service.enqueue(job_id)
    async with database.transaction() as session:
        for owner_id, seconds in ((uuid4(), 1200), (caller.id, 600)):
            await service.delay_queued(session, owner_id=owner_id, kind=KIND, payload={"to": "ada"}, seconds=seconds)
    job = await read_job(database, job_id)
    assert 600 <= (job.run_after - job.created_at).total_seconds() < 1200
    assert (job.state, job.attempt, job.enqueued_at) == (JobState.QUEUED, 0, None)
    assert [(await read_job(database, other_id)).run_after for other_id, _ in others] == before
