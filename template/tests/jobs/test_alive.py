"""Tests of the worker's alive file, which shows whether the worker is ready and makes progress."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.jobs.alive import AliveFile
from app.settings import Settings
from tests.jobs.relay import Relay
from tests.jobs.workers import Workers

LONG_AGO = (0, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alive"


@pytest.fixture
def workers(settings: Settings, tmp_path: Path, path: Path) -> Iterator[Workers]:
    """Return workers with a heartbeat every second."""
    started = Workers(
        {
            "APP_DATABASE__URL": settings.database.url.get_secret_value(),
            "APP_JOB_QUEUE__NAME": settings.job_queue.name,
            "APP_JOBS__ALIVE_FILE": str(path),
            "APP_JOBS__LEASE": "3",
        },
        tmp_path,
    )
    yield started
    started.close()


def age_unchanged(path: Path) -> bool:
    return path.stat().st_mtime == LONG_AGO[1]


async def wait_for_heartbeat(path: Path) -> None:
    os.utime(path, LONG_AGO)
    async with asyncio.timeout(60):
        while age_unchanged(path):
            await asyncio.sleep(0.05)


async def test_the_file_grows_younger_until_the_worker_hangs(workers: Workers, path: Path) -> None:
    worker = await workers.start()
    await wait_for_heartbeat(path)
    os.killpg(worker.pid, signal.SIGSTOP)
    os.utime(path, LONG_AGO)
    await asyncio.sleep(3)
    assert age_unchanged(path)


async def test_the_file_grows_younger_while_the_queue_is_away(workers: Workers, settings: Settings, path: Path) -> None:
    async with Relay(settings.job_queue.url.get_secret_value()).opened() as relay:
        workers.environment["APP_JOB_QUEUE__URL"] = relay.url
        await workers.start()
        relay.cut()
        await asyncio.wait_for(relay.missed.wait(), 60)
        for _ in range(2):
            await wait_for_heartbeat(path)
        workers.close()


def test_a_worker_that_never_becomes_ready_leaves_no_file_and_removes_an_earlier_one(
    workers: Workers, path: Path
) -> None:
    path.touch()
    environment = os.environ | workers.environment | {"APP_EMBEDDING__FOLDER": "nowhere"}
    worker = subprocess.run(
        [sys.executable, "-m", "app.worker"], env=environment, capture_output=True, check=False, timeout=90
    )
    assert worker.returncode == 1
    assert not path.exists()


def test_a_beat_before_the_worker_is_ready_shows_nothing(path: Path) -> None:
    alive = AliveFile(path, 1)
    alive.beat()
    assert not path.exists()
    alive.create()
    assert path.exists()


def test_without_a_path_nothing_is_written() -> None:
    alive = AliveFile(None, 1)
    for step in (alive.remove, alive.create, alive.beat):
        step()
