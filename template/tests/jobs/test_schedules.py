"""Tests of retry schedules: kinds with their own waits, and jobs that wait for a dependency."""

from uuid import UUID

import pytest
from sqlalchemy import func, text

from app.database import Database
from app.errors import RetryJobError, UnavailableError, UpstreamFailedError
from app.jobs.models import JobState
from app.jobs.runner import JobRunner
from app.webhooks.settings import WebhooksSettings
from tests.jobs.fakes import FakeHandler, failing
from tests.jobs.rows import KIND, QUICK, add_job, change_job, read_job

AWAY = UnavailableError("The vector store cannot be reached at the moment.")
FAR = text("interval '23 hours'")
TOO_FAR = text("interval '25 hours'")


def runner_with_one_attempt(database: Database, handler: FakeHandler) -> JobRunner:
    """Return a runner that allows one attempt."""
    return JobRunner(database, {KIND: handler}, QUICK.model_copy(update={"max_attempts": 1, "backoff_base": 2}))


async def test_each_try_comes_after_the_wait_that_is_listed(database: Database, account_id: UUID) -> None:
    handler = failing(RetryJobError("The receiver is away."))
    settings = QUICK.model_copy(update={"max_attempts": 1})
    runner = JobRunner(database, {KIND: handler}, settings, schedules={KIND: [600, 7200]})
    job_id = await add_job(database, account_id)
    for tries, wait in ((1, 600), (2, 7200)):
        await runner.run(job_id)
        job = await read_job(database, job_id)
        assert (job.state, job.attempt) == (JobState.QUEUED, tries)
        # Jitter shortens a wait by up to half, and some time has passed.
        assert wait / 2 <= (job.run_after - job.created_at).total_seconds() < wait + 60
        await change_job(database, job_id, {"run_after": job.created_at})
    await runner.run(job_id)
    assert (await read_job(database, job_id)).state == JobState.FAILED
    assert len(handler.attempts) == 3


def test_a_webhook_is_tried_for_about_a_day() -> None:
    assert 24 * 3600 < sum(WebhooksSettings().retry_after) < 30 * 3600


async def test_a_try_that_fails_for_want_of_a_dependency_does_not_count(database: Database, account_id: UUID) -> None:
    job_id = await add_job(database, account_id)
    for _ in range(3):
        await runner_with_one_attempt(database, failing(AWAY)).run(job_id)
        job = await read_job(database, job_id)
        assert (job.state, job.attempt, job.error) == (JobState.QUEUED, 0, AWAY.detail)
        # The outage has just begun, so the wait is the shortest.
        assert 1 <= (job.run_after - job.created_at).total_seconds() < 60
        await change_job(database, job_id, {"run_after": job.created_at})
    await runner_with_one_attempt(database, FakeHandler()).run(job_id)
    assert (await read_job(database, job_id)).state == JobState.SUCCEEDED


async def test_how_long_a_job_has_waited_for_a_worker_does_not_lengthen_its_waits_in_an_outage(
    database: Database, account_id: UUID
) -> None:
    job_id = await add_job(database, account_id)
    await change_job(database, job_id, {"created_at": func.now() - FAR, "run_after": func.now() - FAR})
    before = await read_job(database, job_id)
    for _ in range(3):
        await runner_with_one_attempt(database, failing(AWAY)).run(job_id)
        waits = await read_job(database, job_id)
        assert waits.away_since is not None
        assert (waits.run_after - waits.away_since).total_seconds() < 60
        await change_job(database, job_id, {"run_after": before.run_after})


async def test_the_waits_of_an_outage_grow_until_a_try_is_counted(database: Database, account_id: UUID) -> None:
    job_id = await add_job(database, account_id)
    due = (await read_job(database, job_id)).run_after
    away_since = func.now() - text("interval '10 minutes'")
    for error, least, most in ((AWAY, 300, 660), (RetryJobError("Not yet."), 0, 60), (AWAY, 0, 60)):
        await change_job(database, job_id, {"attempt": 0, "run_after": due})
        if least:
            await change_job(database, job_id, {"away_since": away_since})
        await JobRunner(database, {KIND: failing(error)}, QUICK).run(job_id)
        job = await read_job(database, job_id)
        assert least <= (job.run_after - due).total_seconds() < most
        assert (job.away_since is None) == isinstance(error, RetryJobError)


@pytest.mark.parametrize("kind", [KIND, "test.unknown"], ids=["a dependency is away", "no worker knows its kind"])
async def test_a_job_waits_for_others_for_a_day_and_then_fails(database: Database, account_id: UUID, kind: str) -> None:
    job_id = await add_job(database, account_id, kind)
    await change_job(database, job_id, {"created_at": func.now() - FAR, "away_since": func.now() - FAR})
    before = (await read_job(database, job_id)).run_after
    await runner_with_one_attempt(database, failing(AWAY)).run(job_id)
    job = await read_job(database, job_id)
    assert (job.state, job.attempt) == (JobState.QUEUED, 0)
    assert 1800 <= (job.run_after - before).total_seconds() < 3660
    await change_job(database, job_id, {"created_at": func.now() - TOO_FAR, "run_after": before})
    await runner_with_one_attempt(database, failing(AWAY)).run(job_id)
    assert (await read_job(database, job_id)).state == JobState.FAILED


async def test_a_dependency_that_says_no_counts_as_any_failure(database: Database, account_id: UUID) -> None:
    job_id = await add_job(database, account_id)
    await runner_with_one_attempt(database, failing(UpstreamFailedError("The model refuses this."))).run(job_id)
    assert (await read_job(database, job_id)).state == JobState.FAILED


async def test_a_kind_with_a_schedule_keeps_to_it_whatever_was_away(database: Database, account_id: UUID) -> None:
    job_id = await add_job(database, account_id)
    await JobRunner(database, {KIND: failing(AWAY)}, QUICK, schedules={KIND: [600]}).run(job_id)
    assert (await read_job(database, job_id)).attempt == 1
