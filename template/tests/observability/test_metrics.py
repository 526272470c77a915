"""Tests of the metrics that an API and a worker send to a collector from separate processes."""

import asyncio
import socket
from pathlib import Path
from uuid import UUID

import httpx2

from app.bootstrap import Services
from app.documents.service import INGEST
from tests.chat.service import run_process
from tests.observability.collector import Collector
from tests.observability.processes import run_worker, wait_until_indexed


async def test_api_and_worker_send_what_each_has_measured(
    key: str, services: Services, account_id: UUID, collector: Collector, tmp_path: Path
) -> None:
    async with services.jobs.database.transaction() as session:  # no worker knows its kind, so it keeps waiting
        await services.jobs.record(session, owner_id=account_id, kind="test.kind", payload={})
    environment = {"APP_METRICS__ENDPOINT": collector.url, "APP_SERVICE__NAME": "measured"}
    async with (
        run_worker(environment, tmp_path / "worker.log"),
        run_process(environment, tmp_path / "api.log") as (url, api),
        httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client,
    ):
        uploaded = await client.post("/v1/documents", files={"file": ("kettle.md", b"The warranty is 24 months.")})
        await wait_until_indexed(client, uploaded.json()["document"])
        api.terminate()
        await asyncio.to_thread(api.wait)
    assert {each.service for each in collector.numbers} == {"measured"}
    ingested = {"kind": INGEST, "outcome": "succeeded"}
    ended = [each for each in collector.numbers if each.name == "app_job_seconds" and each.attributes == ingested]
    assert ended[-1].value == 1
    of_worker = [each for each in collector.numbers if each.instance == ended[-1].instance]
    of_api = [each for each in collector.numbers if each.instance == f"{socket.gethostname()}:{api.pid}"]
    assert "app_batch_rows" in {each.name for each in of_worker}
    assert "test.kind" in {each.attributes["kind"] for each in of_api if each.name == "app_unfinished_jobs"}
    assert "http.server.request.duration" in {each.name for each in of_api}
