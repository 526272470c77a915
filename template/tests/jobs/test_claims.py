"""Tests of claiming jobs during a database outage: no id is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.errors import UnavailableError
from app.jobs import runner
from app.jobs.models import JobState
from app.jobs.runner import JobRunner
from tests.jobs.fakes import FakeHandler, FakeJobQueue
from tests.jobs.rows import KIND, QUICK, add_job, read_job


class UnavailableDatabase(Database):
    """A database that is unavailable until it is `back`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.back = False
        self.asked = asyncio.Event()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncSession]:
        """Raise, or open a real transaction."""
        self.asked.set()
        if not self.back:
            raise UnavailableError("The database is not available at the moment.")
        async with self._database.transaction() as session:
            yield session


@pytest.fixture
def away(database: Database, monkeypatch: pytest.MonkeyPatch) -> UnavailableDatabase:
    monkeypatch.setattr(runner, "CLAIM_PAUSE", 0.02)
    return UnavailableDatabase(database)


@pytest.fixture
def queue() -> FakeJobQueue:
    return FakeJobQueue()


def runner_of(database: Database, queue: FakeJobQueue) -> JobRunner:
    return JobRunner(database, {KIND: FakeHandler()}, QUICK, queue=queue)


async def test_a_worker_keeps_the_id_until_the_database_is_back(
    database: Database, away: UnavailableDatabase, queue: FakeJobQueue, account_id: UUID
) -> None:
    job_id = await add_job(database, account_id)
    running = asyncio.create_task(runner_of(away, queue).run(job_id))
    for _ in range(3):
        away.asked.clear()
        await asyncio.wait_for(away.asked.wait(), 30)
    away.back = True
    await asyncio.wait_for(running, 30)
    job = await read_job(database, job_id)
    assert (job.state, job.attempt, queue.ids) == (JobState.SUCCEEDED, 1, [])


async def test_a_worker_that_is_stopped_before_the_database_is_back_gives_the_id_to_the_queue(
    database: Database, away: UnavailableDatabase, queue: FakeJobQueue, account_id: UUID
) -> None:
    job_id = await add_job(database, account_id)
    running = asyncio.create_task(runner_of(away, queue).run(job_id))
    await asyncio.wait_for(away.asked.wait(), 30)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert queue.ids == [job_id]


@pytest.mark.parametrize("down", [False, True], ids=["the queue is there", "the queue is away as well"])
async def test_a_worker_whose_patience_is_over_gives_the_id_to_the_queue(
    away: UnavailableDatabase, queue: FakeJobQueue, monkeypatch: pytest.MonkeyPatch, *, down: bool
) -> None:
    monkeypatch.setattr(runner, "CLAIM_PATIENCE", 0.1)
    queue.down = down
    job_id = uuid4()
    with pytest.raises(UnavailableError, match="database"):
        await asyncio.wait_for(runner_of(away, queue).run(job_id), 30)
    assert queue.ids == ([] if down else [job_id])
