"""Tests of retention: rows are deleted after their time."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import select

from app import retention
from app.bootstrap import Services
from app.database import Database
from app.documents.service import INGEST, PURGE
from app.jobs import repository as jobs
from app.jobs.models import Job, JobState
from app.predictions import repository as predictions
from app.retention import expire, expire_all
from app.settings import Settings
from tests.http import join
from tests.jobs.rows import KIND, add_job, change_job
from tests.jobs.workers import Workers
from tests.predictions.rows import add_prediction, read_predictions, wait_for_predictions


async def add_ended_job(
    database: Database, owner_id: UUID, days: float, kind: str = KIND, state: JobState = JobState.SUCCEEDED
) -> UUID:
    job_id = await add_job(database, owner_id, kind)
    ended = datetime.now(UTC) - timedelta(days=days)
    await change_job(database, job_id, {"state": state, "finished_at": ended})
    return job_id


async def read_jobs(database: Database) -> set[UUID]:
    async with database.transaction() as session:
        return set(await session.scalars(select(Job.id)))


async def test_predictions_that_are_too_old_are_deleted_whoever_does_it_at_the_same_time(
    database: Database, account_id: UUID
) -> None:
    for days in (0, 6.9, 7.1, 8, 400):
        await add_prediction(database, account_id, days)
    assert sum(await asyncio.gather(*(expire(database, predictions.delete_older, days=7) for _ in range(3)))) == 3
    assert len(await read_predictions(database)) == 2


async def test_jobs_are_deleted_that_ended_long_ago_however_old_others_are(
    database: Database, account_id: UUID
) -> None:
    kept = {await add_ended_job(database, account_id, days) for days in (0, 6.9)}
    for days in (7.1, 400):
        await add_ended_job(database, account_id, days)
    waiting = await add_job(database, account_id)
    await change_job(database, waiting, {"created_at": datetime.now(UTC) - timedelta(days=400)})
    assert sum(await asyncio.gather(*(expire(database, jobs.delete_ended, days=7) for _ in range(3)))) == 2
    assert await read_jobs(database) == kept | {waiting}


async def test_a_job_that_may_have_left_files_or_vectors_stays_until_its_account_is_deleted(
    database: Database, settings: Settings, account_id: UUID
) -> None:
    kept = {await add_ended_job(database, account_id, 400, kind, JobState.FAILED) for kind in (INGEST, PURGE)}
    await add_ended_job(database, account_id, 400, PURGE)
    await add_ended_job(database, account_id, 400, KIND, JobState.FAILED)
    await expire_all(database, settings)
    assert await read_jobs(database) == kept


async def test_what_a_deleted_job_has_done_stays(
    client: httpx2.AsyncClient, services: Services, database: Database
) -> None:
    ada = await join(client, services, "ada@example.com")
    document_id = await ada.upload_and_index("warranty.txt", b"The warranty lasts 24 months.")
    [job_id] = await read_jobs(database)
    await change_job(database, job_id, {"finished_at": datetime.now(UTC) - timedelta(days=91)})
    assert await expire(database, jobs.delete_ended, days=90) == 1
    assert (await ada.request("GET", f"/v1/jobs/{job_id}")).status_code == 404
    assert (await ada.request("GET", f"/v1/documents/{document_id}")).json()["status"] == "ready"
    found = await ada.request("POST", "/v1/search", json={"query": "How long is the warranty?"})
    assert [each["document_id"] for each in found.json()["items"]] == [document_id]


@pytest.mark.parametrize(("seconds", "gone"), [(60, 5), (0, 2)], ids=["while there is time", "then no longer"])
async def test_one_sweep_deletes_batch_after_batch(
    monkeypatch: pytest.MonkeyPatch, database: Database, account_id: UUID, seconds: float, gone: int
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "LONGEST", seconds)
    for days in (0, 8, 8, 8, 8, 8):
        await add_prediction(database, account_id, days)
    assert await expire(database, predictions.delete_older, days=7) == gone
    assert len(await read_predictions(database)) == 6 - gone


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[Workers]:
    environment = {
        "APP_DATABASE__URL": settings.database.url.get_secret_value(),
        "APP_JOB_QUEUE__NAME": settings.job_queue.name,
        "APP_JOBS__RETENTION_DAYS": "3",
        "APP_PREDICTIONS__RETENTION_DAYS": "7",
    }
    started = Workers(environment, tmp_path)
    yield started
    started.close()


async def test_a_worker_deletes_what_is_too_old(workers: Workers, database: Database, account_id: UUID) -> None:
    kept, _ = [await add_ended_job(database, account_id, days) for days in (2, 4)]
    for days in (1, 8):
        await add_prediction(database, account_id, days)
    await workers.start()
    assert len(await wait_for_predictions(database, 1)) == 1
    assert await read_jobs(database) == {kept}
