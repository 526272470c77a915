"""Tests of the job runner: claims, leases, retries and cancellation."""

import asyncio
from collections.abc import Mapping
from uuid import UUID, uuid4

import pytest

from app.auth.caller import Caller
from app.database import Database
from app.errors import DropJobError, RetryJobError
from app.jobs.models import Job, JobState
from app.jobs.ports import Attempt, JobHandler, ReportProgress
from app.jobs.runner import INTERNAL, JobRunner
from app.jobs.service import JobService
from app.jobs.settings import JobsSettings
from tests.jobs.fakes import FakeHandler, FakeJobQueue, failing, hanging
from tests.jobs.rows import KIND, QUICK, add_job, change_job, read_job, state_becomes


def runner_of(database: Database, handler: JobHandler, changes: Mapping[str, float] | None = None) -> JobRunner:
    settings = JobsSettings.model_validate(QUICK.model_dump() | dict(changes or {}))
    return JobRunner(database, {KIND: handler}, settings)


async def run_until(runner: JobRunner, database: Database, job_id: UUID, state: str) -> Job:
    """Deliver a job repeatedly, as the sweeper would."""
    async with asyncio.timeout(30):
        while (job := await read_job(database, job_id)).state != state:
            await runner.run(job_id)
    return job


async def test_a_job_that_is_done_has_succeeded_at_its_first_try(database: Database, account_id: UUID) -> None:
    handler = FakeHandler()
    job_id = await add_job(database, account_id, n=1)
    await runner_of(database, handler).run(job_id)
    job = await read_job(database, job_id)
    assert handler.attempts == [Attempt(job_id, account_id, {"n": 1}, 1)]
    assert (job.state, job.progress, job.attempt, job.error) == (JobState.SUCCEEDED, 1.0, 1, None)
    assert job.finished_at is not None
    assert (job.lease, job.lease_until) == (None, None)


async def test_an_unknown_job_id_is_ignored(database: Database) -> None:
    handler = FakeHandler()
    await runner_of(database, handler).run(uuid4())
    assert handler.attempts == []


async def test_duplicate_deliveries_run_a_job_once(database: Database, account_id: UUID) -> None:
    handler = FakeHandler()
    runner = runner_of(database, handler)
    job_id = await add_job(database, account_id)
    await asyncio.gather(*(runner.run(job_id) for _ in range(8)))
    await runner.run(job_id)
    assert len(handler.attempts) == 1


async def test_a_job_that_is_not_due_is_left_alone(database: Database, account_id: UUID) -> None:
    handler = failing(RetryJobError("The archive is closed."))
    runner = runner_of(database, handler, {"backoff_base": 60})
    job_id = await add_job(database, account_id)
    await runner.run(job_id)
    await runner.run(job_id)
    assert len(handler.attempts) == 1


async def test_a_failed_try_is_repeated_until_it_succeeds(database: Database, account_id: UUID) -> None:
    async def fail_twice(attempt: Attempt, _: ReportProgress) -> None:
        if attempt.number < 3:
            raise RetryJobError("Not yet.")

    job_id = await add_job(database, account_id)
    job = await run_until(runner_of(database, FakeHandler(fail_twice)), database, job_id, JobState.SUCCEEDED)
    assert (job.attempt, job.error) == (3, None)


async def test_a_retry_waits_in_the_queue_with_its_reason_and_was_not_enqueued(
    database: Database, account_id: UUID
) -> None:
    job_id = await add_job(database, account_id)
    await change_job(database, job_id, {"enqueued_at": (await read_job(database, job_id)).created_at})
    await runner_of(database, failing(RetryJobError("The archive is closed.")), {"backoff_base": 60}).run(job_id)
    job = await read_job(database, job_id)
    assert (job.state, job.error, job.enqueued_at) == (JobState.QUEUED, "The archive is closed.", None)
    assert 29 < (job.run_after - job.created_at).total_seconds() < 120


async def test_a_job_whose_tries_are_used_up_has_failed_and_was_given_up(database: Database, account_id: UUID) -> None:
    handler = failing(RetryJobError("The archive is closed."))
    job_id = await add_job(database, account_id)
    job = await run_until(runner_of(database, handler, {"max_attempts": 3}), database, job_id, JobState.FAILED)
    assert (len(handler.attempts), handler.given_up) == (3, ["The archive is closed."])
    assert job.error == "The archive is closed."


async def test_a_job_that_can_never_succeed_is_not_repeated(database: Database, account_id: UUID) -> None:
    handler = failing(DropJobError("No text was found in the file."))
    job_id = await add_job(database, account_id)
    await runner_of(database, handler).run(job_id)
    job = await read_job(database, job_id)
    assert (job.state, job.attempt, job.error) == (JobState.FAILED, 1, "No text was found in the file.")
    assert handler.given_up == ["No text was found in the file."]


async def test_the_owner_never_reads_the_text_of_an_unforeseen_error(database: Database, account_id: UUID) -> None:
    handler = failing(RuntimeError("password=hunter2"))
    job_id = await add_job(database, account_id)
    job = await run_until(runner_of(database, handler, {"max_attempts": 1}), database, job_id, JobState.FAILED)
    assert (job.error, handler.given_up) == (INTERNAL, [INTERNAL])


async def test_a_job_that_killed_its_worker_at_every_try_is_given_up_untried(
    database: Database, account_id: UUID
) -> None:
    handler = FakeHandler()
    job_id = await add_job(database, account_id)
    await change_job(database, job_id, {"attempt": QUICK.max_attempts})
    await runner_of(database, handler).run(job_id)
    assert (await read_job(database, job_id)).state == JobState.FAILED
    assert (handler.attempts, handler.given_up) == ([], ["The job was interrupted too often."])


async def test_a_try_that_takes_too_long_has_failed(database: Database, account_id: UUID) -> None:
    job_id = await add_job(database, account_id)
    await runner_of(database, hanging(), {"time_limit": 0.1, "max_attempts": 1}).run(job_id)
    job = await read_job(database, job_id)
    assert (job.state, job.error) == (JobState.FAILED, "The job exceeded its time limit.")


async def test_a_job_that_cannot_be_tidied_up_has_failed_all_the_same(database: Database, account_id: UUID) -> None:
    handler = failing(DropJobError("Never."))
    handler.untidy = True
    job_id = await add_job(database, account_id)
    await runner_of(database, handler).run(job_id)
    assert (await read_job(database, job_id)).state == JobState.FAILED


async def test_a_running_job_outlives_its_first_lease_and_shows_its_progress(
    database: Database, account_id: UUID
) -> None:
    go_on = asyncio.Event()

    async def report_and_wait(_: Attempt, report: ReportProgress) -> None:
        await report(0.25)
        await go_on.wait()

    job_id = await add_job(database, account_id)
    task = asyncio.create_task(runner_of(database, FakeHandler(report_and_wait)).run(job_id))
    first = await state_becomes(database, job_id, JobState.RUNNING)
    assert first.lease_until is not None
    async with asyncio.timeout(30):
        while (job := await read_job(database, job_id)).lease_until == first.lease_until:
            await asyncio.sleep(0.02)
    assert (job.progress, job.lease) == (0.25, first.lease)
    go_on.set()
    await task
    assert (await read_job(database, job_id)).state == JobState.SUCCEEDED


async def test_a_cancelled_job_stops_and_is_left_in_order(database: Database, account_id: UUID) -> None:
    handler = hanging()
    job_id = await add_job(database, account_id)
    task = asyncio.create_task(runner_of(database, handler).run(job_id))
    await handler.started.wait()
    await JobService(database, FakeJobQueue()).cancel(job_id, caller=Caller(id=account_id))
    await asyncio.wait_for(task, 30)
    job = await read_job(database, job_id)
    assert (job.state, handler.given_up) == (JobState.CANCELLED, ["The job was cancelled."])
    assert job.finished_at is not None


async def test_a_job_cancelled_before_its_first_try_is_left_in_order_untried(
    database: Database, account_id: UUID
) -> None:
    handler = FakeHandler()
    runner = runner_of(database, handler)
    job_id = await add_job(database, account_id)
    await JobService(database, FakeJobQueue()).cancel(job_id, caller=Caller(id=account_id))
    await runner.run(job_id)
    await runner.run(job_id)
    assert (handler.attempts, handler.given_up) == ([], ["The job was cancelled."])
    assert (await read_job(database, job_id)).finished_at is not None


async def test_a_cancellation_that_comes_with_the_last_step_still_counts(database: Database, account_id: UUID) -> None:
    async def be_cancelled(attempt: Attempt, _: ReportProgress) -> None:
        await change_job(database, attempt.job_id, {"state": JobState.CANCELLED})

    handler = FakeHandler(be_cancelled)
    job_id = await add_job(database, account_id)
    await runner_of(database, handler).run(job_id)
    assert (await read_job(database, job_id)).state == JobState.CANCELLED
    assert handler.given_up == ["The job was cancelled."]


@pytest.mark.parametrize("outcome", [None, RetryJobError("Not yet."), DropJobError("Never.")])
async def test_a_worker_that_lost_its_lease_writes_nothing(
    database: Database, account_id: UUID, outcome: Exception | None
) -> None:
    other = uuid4()

    async def lose_lease(attempt: Attempt, _: ReportProgress) -> None:
        await change_job(database, attempt.job_id, {"lease": other})
        if outcome:
            raise outcome

    job_id = await add_job(database, account_id)
    await runner_of(database, FakeHandler(lose_lease)).run(job_id)
    job = await read_job(database, job_id)
    assert (job.state, job.lease, job.error, job.finished_at) == (JobState.RUNNING, other, None, None)


async def test_a_handler_is_stopped_when_its_lease_is_lost(database: Database, account_id: UUID) -> None:
    handler = hanging()
    job_id = await add_job(database, account_id)
    task = asyncio.create_task(runner_of(database, handler).run(job_id))
    await handler.started.wait()
    await change_job(database, job_id, {"lease": uuid4()})
    await asyncio.wait_for(task, 30)
    assert handler.given_up == []


async def test_a_job_that_its_worker_gives_back_counts_no_try(database: Database, account_id: UUID) -> None:
    handler = hanging()
    job_id = await add_job(database, account_id)
    task = asyncio.create_task(runner_of(database, handler).run(job_id))
    await handler.started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    job = await read_job(database, job_id)
    assert (job.state, job.attempt, job.lease, job.enqueued_at) == (JobState.QUEUED, 0, None, None)
