"""The contract of job queues, run on the fake and on the real one.

Delivery needs a worker and is tested in `tests/jobs/test_worker.py`.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from app.adapters.job_queue import JobQueueSettings, open_job_queue
from app.errors import UnavailableError
from app.jobs.ports import JobQueue
from app.settings import Settings
from tests.jobs.fakes import FakeJobQueue


def settings_for(port: int) -> JobQueueSettings:
    return JobQueueSettings.model_validate({"url": f"redis://127.0.0.1:{port}/0"})


@pytest.fixture
def fake_queue() -> JobQueue:
    return FakeJobQueue()


@pytest.fixture
def fake_dead_queue() -> JobQueue:
    return FakeJobQueue(down=True)


@pytest.fixture
async def real_queue(settings: Settings) -> AsyncIterator[JobQueue]:
    async with open_job_queue(settings.job_queue) as opened:
        yield opened


@pytest.fixture
async def real_dead_queue() -> AsyncIterator[JobQueue]:
    """Return a queue whose port is bound, so that nobody else can use it, but does not accept connections."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with open_job_queue(settings_for(taken.getsockname()[1])) as opened:
            yield opened


@pytest.fixture(params=["fake_queue", "real_queue"])
def queue(request: pytest.FixtureRequest) -> JobQueue:
    chosen: JobQueue = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture(params=["fake_dead_queue", "real_dead_queue"])
def dead_queue(request: pytest.FixtureRequest) -> JobQueue:
    chosen: JobQueue = request.getfixturevalue(request.param)
    return chosen


async def test_a_queue_that_is_there_answers_and_takes_the_same_id_twice(queue: JobQueue) -> None:
    job_id = uuid4()
    await queue.ping()
    await queue.enqueue(job_id)
    await queue.enqueue(job_id)


async def test_a_queue_that_is_not_there_is_unavailable(dead_queue: JobQueue) -> None:
    with pytest.raises(UnavailableError):
        await dead_queue.enqueue(uuid4())
    with pytest.raises(UnavailableError):
        await dead_queue.ping()


async def test_a_queue_that_falls_silent_is_unavailable_and_never_stops_the_event_loop() -> None:
    contacted = asyncio.Event()
    writers: list[asyncio.StreamWriter] = []

    def say_nothing(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Runs on the event loop that waits for the queue.
        contacted.set()
        writers.append(writer)

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server, open_job_queue(settings_for(server.sockets[0].getsockname()[1])) as queue:
        for call in (queue.enqueue(uuid4()), queue.ping()):
            contacted.clear()
            with pytest.raises(UnavailableError):
                await asyncio.wait_for(call, 60)
            assert contacted.is_set()
        # From Python 3.12 on, a server that closes waits for its connections.
        for writer in writers:
            writer.close()
            await writer.wait_closed()
