"""Tests of draining: waiting until every job is done."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, text

from app.database import Database
from app.jobs.draining import drain
from app.jobs.models import JobState
from tests.jobs.rows import add_job, change_job

DONE = {"state": JobState.SUCCEEDED, "finished_at": func.now()}


def nobody(left: int) -> None:
    """Ignore the report."""


async def test_nothing_to_do_is_over_at_once(database: Database, account_id: UUID) -> None:
    reports: list[int] = []
    await change_job(database, await add_job(database, account_id), DONE)
    assert await drain(database, reports.append) == 0
    assert reports == []


@pytest.mark.parametrize(
    "row",
    [
        pytest.param({"enqueued_at": None}, id="waiting"),
        pytest.param({"run_after": func.now() + text("interval '5 minutes'")}, id="waiting for its next try"),
        pytest.param({"state": JobState.RUNNING}, id="running"),
        pytest.param({"state": JobState.CANCELLED}, id="cancelled, but not in order yet"),
    ],
)
async def test_a_job_with_work_left_counts(database: Database, account_id: UUID, row: Mapping[str, Any]) -> None:
    await change_job(database, await add_job(database, account_id), row)
    assert await drain(database, nobody, within=0) == 1


async def test_a_job_whose_next_try_is_far_away_is_left_to_the_next_queue(database: Database, account_id: UUID) -> None:
    away = {"run_after": func.now() + text("interval '1 hour'")}
    await change_job(database, await add_job(database, account_id), away)
    assert await drain(database, nobody, within=0) == 0


async def test_it_tells_each_change_until_the_last_job_is_done(database: Database, account_id: UUID) -> None:
    jobs = [await add_job(database, account_id) for _ in range(3)]
    reports: list[int] = []
    changed = asyncio.Event()

    def report(left: int) -> None:
        reports.append(left)
        changed.set()

    waiting = asyncio.create_task(drain(database, report))
    for finished in (jobs[:2], jobs[2:]):
        await changed.wait()
        changed.clear()
        for job in finished:
            await change_job(database, job, DONE)
    assert await waiting == 0
    assert (reports[0], reports[-1]) == (3, 1)
