"""Tests of the sweeper, which finds jobs that a queue or a worker has lost."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import ColumnElement, func, text

from app.cancellation import cancel_and_wait
from app.database import Database
from app.jobs import sweeper
from app.jobs.models import JobState
from app.jobs.sweeper import sweep
from tests.jobs.fakes import FakeJobQueue
from tests.jobs.rows import QUICK, add_job, change_job, read_job

LONG_AGO = func.now() - text("interval '1 hour'")
SOON = func.now() + text("interval '1 hour'")
HELD = {"state": JobState.RUNNING, "attempt": 1, "lease": uuid4(), "enqueued_at": func.now()}


def minutes_ago(minutes: int) -> ColumnElement[Any]:
    return func.now() - timedelta(minutes=minutes)


@pytest.fixture
def queue() -> FakeJobQueue:
    return FakeJobQueue()


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({}, id="never enqueued"),
        pytest.param({"enqueued_at": LONG_AGO}, id="enqueued so long ago that the queue may have lost it"),
        pytest.param(
            {"run_after": minutes_ago(50), "enqueued_at": minutes_ago(30)},
            id="sent last so long ago as it had waited then",
        ),
        pytest.param(
            {"run_after": minutes_ago(9999), "enqueued_at": minutes_ago(61)},
            id="has waited for days, and was sent last an hour ago",
        ),
        pytest.param({"attempt": 2, "run_after": LONG_AGO}, id="a retry that is due"),
        pytest.param({**HELD, "lease_until": LONG_AGO}, id="its worker has died"),
        pytest.param({"state": JobState.CANCELLED}, id="cancelled before a worker took it"),
        pytest.param(
            {**HELD, "state": JobState.CANCELLED, "enqueued_at": None, "lease_until": LONG_AGO},
            id="cancelled, and its worker has died",
        ),
    ],
)
async def test_a_job_that_needs_a_worker_is_enqueued_once(
    database: Database, account_id: UUID, queue: FakeJobQueue, row: Mapping[str, Any]
) -> None:
    job_id = await add_job(database, account_id)
    if row:
        await change_job(database, job_id, row)
    assert await sweep(database, queue, QUICK) == 1
    assert await sweep(database, queue, QUICK) == 0
    assert queue.ids == [job_id]


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({"enqueued_at": func.now()}, id="in the queue"),
        pytest.param(
            {"run_after": minutes_ago(50), "enqueued_at": minutes_ago(20)},
            id="in a long queue, and was sent lately for the time that it has waited",
        ),
        pytest.param({"run_after": SOON}, id="not due"),
        pytest.param({**HELD, "lease_until": SOON}, id="a worker is at it"),
        pytest.param({**HELD, "state": JobState.CANCELLED, "lease_until": SOON}, id="a worker is stopping it"),
        pytest.param({"state": JobState.SUCCEEDED, "finished_at": func.now()}, id="succeeded"),
        pytest.param({"state": JobState.FAILED, "finished_at": func.now()}, id="failed"),
        pytest.param({"state": JobState.CANCELLED, "finished_at": func.now()}, id="cancelled and left in order"),
    ],
)
async def test_a_job_that_needs_no_worker_is_not_enqueued(
    database: Database, account_id: UUID, queue: FakeJobQueue, row: Mapping[str, Any]
) -> None:
    job_id = await add_job(database, account_id)
    await change_job(database, job_id, row)
    assert await sweep(database, queue, QUICK) == 0
    assert queue.ids == []


async def test_a_queue_that_keeps_no_copies_is_soon_sent_again_whatever_it_may_have_lost(
    database: Database, account_id: UUID
) -> None:
    job_id, recent = [await add_job(database, account_id) for _ in range(2)]
    await change_job(database, job_id, {"run_after": minutes_ago(300), "enqueued_at": minutes_ago(2)})
    await change_job(database, recent, {"run_after": minutes_ago(300), "enqueued_at": func.now()})
    queue = FakeJobQueue(keeps_copies=False)
    assert await sweep(database, queue, QUICK) == 1
    assert queue.ids == [job_id]


async def test_a_dead_workers_job_may_be_claimed_again_and_its_try_counts(
    database: Database, account_id: UUID, queue: FakeJobQueue
) -> None:
    job_id = await add_job(database, account_id)
    await change_job(database, job_id, {**HELD, "lease_until": LONG_AGO})
    await sweep(database, queue, QUICK)
    job = await read_job(database, job_id)
    assert (job.state, job.attempt, job.lease) == (JobState.QUEUED, 1, None)


async def test_what_a_dead_queue_did_not_take_is_enqueued_by_the_next_sweep(
    database: Database, account_id: UUID, queue: FakeJobQueue
) -> None:
    ids = {await add_job(database, account_id) for _ in range(3)}
    queue.down = True
    assert await sweep(database, queue, QUICK) == 0
    queue.down = False
    assert await sweep(database, queue, QUICK) == 3
    assert set(queue.ids) == ids


async def test_what_a_sweep_that_was_broken_off_did_not_send_is_enqueued_by_the_next(
    database: Database, account_id: UUID, queue: FakeJobQueue
) -> None:
    asked = asyncio.Event()

    class SilentJobQueue(FakeJobQueue):
        async def enqueue(self, job_id: UUID) -> None:
            asked.set()
            await asyncio.Event().wait()

    job_id = await add_job(database, account_id)
    sweeping = asyncio.create_task(sweep(database, SilentJobQueue(), QUICK))
    await asyncio.wait_for(asked.wait(), 30)
    await cancel_and_wait(sweeping)
    assert await sweep(database, queue, QUICK) == 1
    assert queue.ids == [job_id]


async def test_what_the_queue_never_had_does_not_wait_for_what_is_sent_again(
    database: Database, account_id: UUID, queue: FakeJobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "BATCH", 1)
    again, new = [await add_job(database, account_id) for _ in range(2)]
    await change_job(database, again, {"run_after": LONG_AGO, "enqueued_at": LONG_AGO})
    for _ in range(2):
        await sweep(database, queue, QUICK)
    assert queue.ids == [new, again]


async def test_several_sweepers_at_once_enqueue_each_job_once(
    database: Database, account_id: UUID, queue: FakeJobQueue
) -> None:
    ids = [await add_job(database, account_id) for _ in range(20)]
    await asyncio.gather(*(sweep(database, queue, QUICK) for _ in range(5)))
    assert sorted(queue.ids) == sorted(ids)
