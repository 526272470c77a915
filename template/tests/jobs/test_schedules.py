"""Kinds of jobs that are tried again at times of their own."""

from uuid import UUID

from app.database import Database
from app.errors import RetryJobError
from app.jobs.models import JobState
from app.jobs.runner import JobRunner
from app.webhooks.settings import WebhooksSettings
from tests.jobs.fakes import failing
from tests.jobs.rows import KIND, QUICK, add_job, change_job, read_job


async def test_each_try_comes_after_the_wait_that_is_listed(database: Database, account_id: UUID) -> None:
    handler = failing(RetryJobError("The receiver is away."))
    settings = QUICK.model_copy(update={"max_attempts": 1})
    runner = JobRunner(database, {KIND: handler}, settings, schedules={KIND: [600, 7200]})
    job_id = await add_job(database, account_id)
    for tries, wait in ((1, 600), (2, 7200)):
        await runner.run(job_id)
        job = await read_job(database, job_id)
        assert (job.state, job.attempt) == (JobState.QUEUED, tries)
        # Chance shortens a wait by up to half; the clock has gone on a little.
        assert wait / 2 <= (job.run_after - job.created_at).total_seconds() < wait + 60
        await change_job(database, job_id, {"run_after": job.created_at})
    await runner.run(job_id)
    assert (await read_job(database, job_id)).state == JobState.FAILED
    assert len(handler.attempts) == 3


def test_a_webhook_is_tried_for_about_a_day() -> None:
    assert 24 * 3600 < sum(WebhooksSettings().retry_after) < 30 * 3600
