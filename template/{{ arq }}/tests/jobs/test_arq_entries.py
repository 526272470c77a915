"""Tests of ARQ's queue entries: each waiting job has one, and a running job has none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID, uuid4

import pytest
from arq import ArqRedis, Worker

from app.adapters.job_queue import connect, open_job_queue
from app.cancellation import cancel_and_wait
from app.jobs.ports import JobQueue
from app.jobs.runner import JobRunner
from app.settings import Settings
from app.worker import make_worker


class HangingRunner:
    """A runner whose jobs begin at once and end when `go_on` is set."""

    def __init__(self) -> None:
        self.begun: list[UUID] = []
        self.go_on = asyncio.Event()
        self.worker: Worker

    async def run(self, job_id: UUID) -> None:
        """Record the job and wait."""
        self.begun.append(job_id)
        await self.go_on.wait()

    def tasks(self) -> list[asyncio.Task[Any]]:
        """Return the worker's running tasks."""
        return [task for task in self.worker.tasks.values() if not task.done()]

    async def has(self, count: int) -> None:
        """Wait until this many jobs have begun."""
        async with asyncio.timeout(30):
            while len(self.begun) < count:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def working(settings: Settings, concurrency: int) -> AsyncIterator[HangingRunner]:
    """Run a worker with this concurrency."""
    runner = HangingRunner()
    jobs = settings.jobs.model_copy(update={"concurrency": concurrency})
    redis = connect(settings.job_queue)
    worker = make_worker(settings.model_copy(update={"jobs": jobs}), cast("JobRunner", runner), redis)
    runner.worker = worker
    polling = asyncio.create_task(worker.async_run())
    try:
        yield runner
    finally:
        await cancel_and_wait(polling)
        runner.go_on.set()
        await asyncio.gather(*worker.tasks.values())
        await redis.aclose()


@pytest.fixture
async def queue(settings: Settings) -> AsyncIterator[JobQueue]:
    async with open_job_queue(settings.job_queue) as opened:
        yield opened


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[ArqRedis]:
    connected = connect(settings.job_queue)
    yield connected
    await connected.aclose()


async def test_a_job_that_waits_is_in_the_queue_once_and_keeps_its_place(
    settings: Settings, queue: JobQueue, redis: ArqRedis
) -> None:
    first, second = uuid4(), uuid4()
    for job_id in (first, second, first, first):
        await queue.enqueue(job_id)
        # ARQ sorts entries by the millisecond.
        await asyncio.sleep(0.01)
    assert await redis.zcard(settings.job_queue.name) == 2
    assert not queue.keeps_copies
    async with working(settings, 2) as runner:
        await runner.has(2)
    assert runner.begun == [first, second]


async def test_a_job_that_has_begun_is_no_longer_in_the_queue_and_may_be_sent_again(
    settings: Settings, queue: JobQueue, redis: ArqRedis
) -> None:
    job_id = uuid4()
    await queue.enqueue(job_id)
    async with working(settings, 2) as runner:
        await runner.has(1)
        assert await redis.zcard(settings.job_queue.name) == 0
        assert [key async for key in redis.scan_iter(f"arq:*{job_id}")] == []
        async with working(settings, 1) as other:
            await queue.enqueue(job_id)
            await other.has(1)


async def test_a_job_that_is_sent_again_while_it_is_under_way_waits_for_its_end_and_hides_none(
    settings: Settings, queue: JobQueue, redis: ArqRedis
) -> None:
    job_id, other_id = uuid4(), uuid4()
    await queue.enqueue(job_id)
    async with working(settings, 2) as runner:
        await runner.has(1)
        [under_way] = runner.tasks()
        await queue.enqueue(job_id)
        await asyncio.sleep(0.01)
        await queue.enqueue(other_id)
        await runner.has(2)
        assert under_way in runner.tasks()
        assert await redis.zcard(settings.job_queue.name) == 1
        runner.go_on.set()
        await runner.has(3)
    assert runner.begun == [job_id, other_id, job_id]


async def test_an_entry_that_was_lost_without_its_message_is_put_back(
    settings: Settings, queue: JobQueue, redis: ArqRedis
) -> None:
    job_id = uuid4()
    await queue.enqueue(job_id)
    await redis.delete(settings.job_queue.name)
    await queue.enqueue(job_id)
    async with working(settings, 1) as runner:
        await runner.has(1)


async def test_jobs_under_way_hide_none_that_wait_however_many_they_are(settings: Settings, queue: JobQueue) -> None:
    # ARQ reads a hundred entries at a time.
    for _ in range(110):
        await queue.enqueue(uuid4())
    async with working(settings, 110) as busy:
        await busy.has(110)
        await queue.enqueue(waiting := uuid4())
        async with working(settings, 1) as free:
            await free.has(1)
    assert free.begun == [waiting]
