"""Tests of the job metrics, by outcome of an attempt."""

import asyncio
from uuid import UUID, uuid4

import pytest

from app.auth.caller import Caller
from app.database import Database
from app.errors import DropJobError, RetryJobError
from app.jobs.ports import Attempt, JobHandler, ReportProgress
from app.jobs.runner import JobRunner
from app.jobs.service import JobService
from tests.jobs.fakes import FakeHandler, FakeJobQueue, failing, hanging
from tests.jobs.rows import KIND, QUICK, add_job, change_job
from tests.meters import Meters


def told(outcome: str) -> dict[frozenset[tuple[str, str]], float]:
    return {frozenset({("kind", KIND), ("outcome", outcome)}): 1.0}


@pytest.mark.parametrize(
    ("handler", "outcome"),
    [
        (FakeHandler(), "succeeded"),
        (failing(RetryJobError("Not yet.")), "retried"),
        (failing(DropJobError("Never.")), "failed"),
    ],
)
async def test_an_attempt_that_comes_to_its_end_is_measured(
    database: Database, account_id: UUID, meters: Meters, handler: JobHandler, outcome: str
) -> None:
    await JobRunner(database, {KIND: handler}, QUICK).run(await add_job(database, account_id))
    assert meters.read()["app_job_seconds_count"] == told(outcome)


async def test_an_attempt_whose_job_another_worker_took_is_measured(
    database: Database, account_id: UUID, meters: Meters
) -> None:
    async def lose_lease(attempt: Attempt, _: ReportProgress) -> None:
        await change_job(database, attempt.job_id, {"lease": uuid4()})

    await JobRunner(database, {KIND: FakeHandler(lose_lease)}, QUICK).run(await add_job(database, account_id))
    assert meters.read()["app_job_seconds_count"] == told("lost")


@pytest.mark.parametrize("outcome", ["cancelled", "released"])
async def test_an_attempt_that_is_broken_off_is_measured(
    database: Database, account_id: UUID, meters: Meters, outcome: str
) -> None:
    handler, job_id = hanging(), await add_job(database, account_id)
    task = asyncio.create_task(JobRunner(database, {KIND: handler}, QUICK).run(job_id))
    await handler.started.wait()
    if outcome == "released":
        task.cancel()
    else:
        await JobService(database, FakeJobQueue()).cancel(job_id, caller=Caller(id=account_id))
    await asyncio.wait({task}, timeout=30)
    assert meters.read()["app_job_seconds_count"] == told(outcome)
