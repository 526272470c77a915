"""Helpers that create and read jobs in the database."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import update

from app.database import Database
from app.jobs import repository
from app.jobs.models import Job
from app.jobs.settings import JobsSettings

KIND = "test.work"
QUICK = JobsSettings(lease=3, backoff_base=0, sweep_interval=0.1)


async def add_job(database: Database, owner_id: UUID, kind: str = KIND, **payload: Any) -> UUID:  # noqa: ANN401 - JSON
    """Insert a job that may run at once."""
    async with database.transaction() as session:
        return (await repository.add(session, owner_id=owner_id, kind=kind, payload=payload)).id


async def read_job(database: Database, job_id: UUID) -> Job:
    """Return a job's row from the database."""
    async with database.transaction() as session:
        job = await session.get(Job, job_id)
    assert job is not None
    return job


async def change_job(database: Database, job_id: UUID, values: Mapping[str, Any]) -> None:
    """Set columns of a job's row."""
    async with database.transaction() as session:
        await session.execute(update(Job).where(Job.id == job_id).values(dict(values)))


async def state_becomes(database: Database, job_id: UUID, state: str) -> Job:
    """Wait until a job is in this state and return it."""
    async with asyncio.timeout(30):
        while (job := await read_job(database, job_id)).state != state:
            await asyncio.sleep(0.02)
    return job
