"""Tests of the metrics endpoint."""

import re
from pathlib import Path
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from app.bootstrap import Services
from app.errors import UnavailableError
from app.main import create_app
from app.observability.metrics import MetricsSettings
from app.settings import Settings
from tests.http import join

TOKEN = "a-token-of-prometheus"
DOCUMENT = Path(__file__).parents[2] / "docs" / "observability.md"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def scrape(client: httpx2.AsyncClient) -> Samples:
    answer = await client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = text_string_to_metric_families(answer.text)
    return {(each.name, frozenset(each.labels.items())): each.value for one in families for each in one.samples}


def requests(samples: Samples, **labels: str) -> float:
    """Return the number of requests with these labels."""
    wanted, name = set(labels.items()), "http_server_request_duration_seconds_count"
    return sum(value for (metric, given), value in samples.items() if metric == name and wanted <= given)


async def test_requests_are_counted_by_route_and_status_and_not_by_what_callers_send(
    client: httpx2.AsyncClient, services: Services
) -> None:
    ada = await join(client, services, "ada@example.com")
    unknown = str(uuid4())
    before = await scrape(client)
    await ada.request("GET", f"/v1/documents/{unknown}")
    await client.get(f"/nothing/{unknown}")
    await client.request("BREW", "/v1/models")
    after = await scrape(client)
    for method, route, status in (
        ("GET", "/v1/documents/{document_id}", "404"),
        ("GET", "", "404"),
        ("_OTHER", "/v1/models", "405"),
    ):
        labels = {"http_request_method": method, "http_route": route, "http_response_status_code": status}
        assert requests(after, **labels) == requests(before, **labels) + 1, labels
    assert not any(unknown in value for _, labels in after for _, value in labels)


async def test_the_process_and_its_batches_are_measured(client: httpx2.AsyncClient, services: Services) -> None:
    await services.embeddings.embedder.embed(["A text."])
    samples = await scrape(client)
    model = frozenset({("model", services.embeddings.embedder.model.identity)})
    assert samples["app_batch_seconds_count", model] >= 1
    assert samples["app_queue_items", model] == 0
    assert samples["process_resident_memory_bytes", frozenset()] > 10_000_000


async def test_waiting_jobs_are_counted(client: httpx2.AsyncClient, services: Services, account_id: UUID) -> None:
    async with services.jobs.database.transaction() as session:
        for _ in range(3):
            await services.jobs.record(session, owner_id=account_id, kind="test.kind", payload={})
    samples = await scrape(client)
    assert samples["app_unfinished_jobs", frozenset({("kind", "test.kind"), ("state", "queued")})] == 3
    assert samples["app_oldest_queued_job_seconds", frozenset({("kind", "test.kind")})] >= 0


async def test_without_the_database_all_but_the_jobs_is_told(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> None:
        raise UnavailableError("Out of reach.")

    monkeypatch.setattr("app.jobs.repository.count_backlog", away)
    samples = await scrape(client)
    assert not [name for name, _ in samples if "jobs" in name]
    assert "process_resident_memory_bytes" in {name for name, _ in samples}


async def test_a_token_keeps_others_out(application: FastAPI, client: httpx2.AsyncClient) -> None:
    application.state.metrics = MetricsSettings(token=SecretStr(TOKEN))
    for sent in (b"", b"Bearer another-token", b"Bearer \xfc"):
        refused = await client.get("/metrics", headers={b"Authorization": sent})
        assert refused.status_code == 401, sent
        assert "app_" not in refused.text.replace("app_metrics", "")
    assert (await client.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})).status_code == 200


async def test_it_can_be_switched_off(settings: Settings) -> None:
    off = create_app(settings.model_copy(update={"metrics": MetricsSettings(enabled=False)}))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(off), base_url="http://service") as client:
        assert (await client.get("/metrics")).status_code == 404


def test_the_documentation_has_every_metric() -> None:
    """Metric names are read from the code, because a metric without values is not exposed."""
    code = "\n".join(path.read_text() for path in (DOCUMENT.parents[1] / "src").rglob("*.py"))
    made = set(re.findall(r'create_\w+\(\s*"(app_\w+)"', code))
    told = set(re.findall(r"^\| `(app_\w+)`", DOCUMENT.read_text(), re.MULTILINE))
    assert made == told
