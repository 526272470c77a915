"""Tests that a worker keeps its lease while a job is closed and its owner is notified."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.errors import DropJobError
from app.event_publisher import Event
from app.jobs.ports import JobHandler
from app.jobs.runner import JobRunner
from tests.jobs.fakes import FakeHandler, failing
from tests.jobs.rows import KIND, QUICK, add_job
from tests.meters import Meters


class SlowPublisher:
    """A publisher whose every step takes longer than a heartbeat."""

    def __init__(self) -> None:
        self.started: list[UUID] = []

    async def record(self, session: AsyncSession, event: Event, *, owner_id: UUID) -> Sequence[UUID]:
        """Record one delivery, with the id of the job."""
        await asyncio.sleep(1.5 * QUICK.heartbeat)
        return [event.id]

    async def start(self, recorded: Sequence[UUID]) -> None:
        """Start deliveries after a delay."""
        await asyncio.sleep(1.5 * QUICK.heartbeat)
        self.started += recorded


@pytest.mark.parametrize(
    ("handler", "outcome"), [(FakeHandler(), "succeeded"), (failing(DropJobError("Never.")), "failed")]
)
async def test_a_job_that_was_closed_is_recorded_and_announced_however_long_that_takes(
    database: Database, account_id: UUID, meters: Meters, handler: JobHandler, outcome: str
) -> None:
    publisher, job_id = SlowPublisher(), await add_job(database, account_id)
    await JobRunner(database, {KIND: handler}, QUICK, publisher).run(job_id)
    assert publisher.started == [job_id]
    assert meters.read()["app_job_seconds_count"] == {frozenset({("kind", KIND), ("outcome", outcome)}): 1.0}


async def test_the_end_of_a_job_is_recorded_before_its_owner_is_told(
    database: Database, account_id: UUID, meters: Meters
) -> None:
    publisher, job_id = SlowPublisher(), await add_job(database, account_id)
    running = asyncio.create_task(JobRunner(database, {KIND: FakeHandler()}, QUICK, publisher).run(job_id))
    async with asyncio.timeout(30):
        while "app_job_seconds_count" not in meters.read():
            await asyncio.sleep(0.02)
    assert publisher.started == []
    await running
