"""Tests of real worker processes that are stopped, killed or given the same job twice."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest

from app.adapters.job_queue import open_job_queue
from app.database import Database
from app.jobs.models import JobState
from app.jobs.ports import JobQueue
from app.jobs.service import JobService
from app.settings import Settings
from tests.jobs.relay import Relay
from tests.jobs.rows import add_job, read_job, state_becomes
from tests.jobs.worker_process import KIND
from tests.jobs.workers import Workers


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[Workers]:
    """Return workers on the test's queue and database that soon notice when another has died."""
    environment = {
        "APP_DATABASE__URL": settings.database.url.get_secret_value(),
        "APP_JOB_QUEUE__NAME": settings.job_queue.name,
        "APP_JOBS__LEASE": "3",
        "APP_JOBS__SWEEP_INTERVAL": "0.2",
    }
    started = Workers(environment, tmp_path)
    yield started
    started.close()


@pytest.fixture
async def queue(settings: Settings) -> AsyncIterator[JobQueue]:
    async with open_job_queue(settings.job_queue) as opened:
        yield opened


@pytest.fixture
async def relay(settings: Settings) -> AsyncIterator[Relay]:
    async with Relay(settings.job_queue.url.get_secret_value()).opened() as opened:
        yield opened


@pytest.fixture
async def job_id(database: Database, account_id: UUID, workers: Workers, queue: JobQueue) -> UUID:
    """Return the id of a job that is in the queue."""
    job_id = await add_job(database, account_id, KIND, diary=str(workers.diary))
    await JobService(database, queue).enqueue(job_id)
    return job_id


async def test_a_worker_runs_what_is_in_the_queue(workers: Workers, database: Database, job_id: UUID) -> None:
    await workers.start()
    workers.let_jobs_end()
    job = await state_becomes(database, job_id, JobState.SUCCEEDED)
    assert (job.attempt, workers.read_diary()) == (1, ["started", "ended"])


async def test_a_worker_that_cannot_start_says_why_after_all_else(settings: Settings) -> None:
    environment = {
        **os.environ,
        "APP_EMBEDDING__FOLDER": "nowhere",
        "APP_JOB_QUEUE__NAME": settings.job_queue.name,
        "APP_JOBS__CONCURRENCY": "4",
    }
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.worker", env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(worker.communicate(), 90)
    assert worker.returncode == 1, said
    _, reason, rest = said.decode().rpartition("No embedding model in nowhere")
    assert reason, said
    assert "Traceback" not in rest
    assert "Cold shutdown" not in rest


async def test_a_job_that_never_reached_the_queue_is_found(
    workers: Workers, database: Database, account_id: UUID
) -> None:
    job_id = await add_job(database, account_id, KIND, diary=str(workers.diary))
    workers.let_jobs_end()
    await workers.start()
    assert (await state_becomes(database, job_id, JobState.SUCCEEDED)).attempt == 1


async def test_a_job_whose_worker_was_killed_is_ended_once_by_another(
    workers: Workers, database: Database, job_id: UUID
) -> None:
    doomed = await workers.start()
    await workers.diary_has(1)
    workers.kill(doomed)
    workers.let_jobs_end()
    await workers.start()
    job = await state_becomes(database, job_id, JobState.SUCCEEDED)
    assert (job.attempt, workers.read_diary()) == (2, ["started", "started", "ended"])


async def test_a_job_that_is_delivered_many_times_runs_once(
    workers: Workers, database: Database, queue: JobQueue, job_id: UUID
) -> None:
    for _ in range(5):
        await queue.enqueue(job_id)
    worker = await workers.start()
    await workers.diary_has(1)
    workers.let_jobs_end()
    await state_becomes(database, job_id, JobState.SUCCEEDED)
    await queue.enqueue(job_id)
    assert await workers.stop(worker) == 0
    assert workers.read_diary() == ["started", "ended"]


async def test_a_worker_whose_queue_was_away_takes_jobs_again_while_its_own_go_on(
    workers: Workers, database: Database, queue: JobQueue, relay: Relay, job_id: UUID
) -> None:
    workers.environment |= {"APP_JOB_QUEUE__URL": relay.url, "APP_JOBS__CONCURRENCY": "2"}
    await workers.start()
    await workers.diary_has(1)
    relay.cut()
    await asyncio.wait_for(relay.missed.wait(), 60)
    relay.mend()
    ids, owner_id = [job_id], (await read_job(database, job_id)).owner_id
    for _ in range(2):
        ids.append(await add_job(database, owner_id, KIND, diary=str(workers.diary)))
        await JobService(database, queue).enqueue(ids[-1])
    await workers.diary_has(2)
    workers.let_jobs_end()
    for each in ids:
        assert (await state_becomes(database, each, JobState.SUCCEEDED)).attempt == 1
    # There was no room for the third until another had ended.
    assert workers.read_diary().index("ended") == 2


async def test_a_worker_whose_queue_vanished_without_a_word_takes_jobs_again(
    workers: Workers, database: Database, queue: JobQueue, relay: Relay, job_id: UUID
) -> None:
    workers.environment |= {"APP_JOB_QUEUE__URL": relay.url, "APP_JOBS__REQUEUE_AFTER": "1"}
    workers.let_jobs_end()
    await workers.start()
    owner_id = (await state_becomes(database, job_id, JobState.SUCCEEDED)).owner_id
    relay.lose()
    following = await add_job(database, owner_id, KIND, diary=str(workers.diary))
    await JobService(database, queue).enqueue(following)
    await workers.diary_has(4)
    await state_becomes(database, following, JobState.SUCCEEDED)


async def test_a_worker_whose_database_was_away_runs_what_the_queue_brought_meanwhile(
    workers: Workers, settings: Settings, database: Database, queue: JobQueue, account_id: UUID
) -> None:
    async with Relay(settings.database.url.get_secret_value()).opened() as relay:
        workers.environment |= {"APP_DATABASE__URL": relay.url}
        await workers.start()
        relay.cut()
        job_id = await add_job(database, account_id, KIND, diary=str(workers.diary))
        await JobService(database, queue).enqueue(job_id)
        await workers.have_said("job.claim_failed")
        workers.let_jobs_end()
        relay.mend()
        # Long before the sweeper would send it again.
        assert (await state_becomes(database, job_id, JobState.SUCCEEDED)).attempt == 1
        workers.close()


@pytest.mark.parametrize("tell", [os.kill, os.killpg], ids=["its first process is told", "its whole group is told"])
async def test_a_stopping_worker_lets_its_job_end(
    workers: Workers, database: Database, job_id: UUID, tell: Callable[[int, int], None]
) -> None:
    worker = await workers.start()
    await workers.diary_has(1)
    tell(worker.pid, signal.SIGTERM)
    await asyncio.sleep(0.5)
    workers.let_jobs_end()
    assert await workers.stop(worker) == 0
    job = await read_job(database, job_id)
    assert (job.state, job.attempt, workers.read_diary()) == (JobState.SUCCEEDED, 1, ["started", "ended"])


@pytest.mark.parametrize("tell", [os.kill, os.killpg], ids=["its first process is told", "its whole group is told"])
async def test_a_worker_that_may_wait_no_longer_gives_its_job_back(
    workers: Workers, database: Database, job_id: UUID, tell: Callable[[int, int], None]
) -> None:
    workers.environment["APP_JOBS__SHUTDOWN_GRACE"] = "0.2"
    worker = await workers.start()
    await workers.diary_has(1)
    assert await workers.stop(worker, tell) == 0
    job = await read_job(database, job_id)
    assert (job.state, job.attempt, job.lease) == (JobState.QUEUED, 0, None)

    workers.let_jobs_end()
    await workers.start()
    job = await state_becomes(database, job_id, JobState.SUCCEEDED)
    assert (job.attempt, workers.read_diary()) == (1, ["started", "started", "ended"])
