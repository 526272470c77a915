"""Tests of the health probes over HTTP."""

import asyncio

import httpx2
import pytest

from app.bootstrap import Services
from app.errors import UnavailableError
from app.health.service import HealthService


async def test_a_started_service_is_alive_started_and_ready(client: httpx2.AsyncClient) -> None:
    for probe in ("live", "startup", "ready"):
        assert (await client.get(f"/health/{probe}")).status_code == 200, probe
    body = (await client.get("/health/ready")).json()
    assert body["status"] == "ready"
    assert set(body["checks"]) == {"database", "detection_model", "embedding_model", "job_queue", "vector_store"}
    assert body["embedding_model"]["provider"].endswith("ExecutionProvider")


async def test_a_dependency_that_is_down_or_silent_is_named(services: Services) -> None:
    async def down() -> None:
        raise UnavailableError("The index is out of reach.")

    async def silent() -> None:
        await asyncio.sleep(60)

    async def fine() -> None:
        pass

    pings = {"index": down, "queue": silent, "database": fine}
    health = HealthService(pings, services.ports, optional={"queue"}, timeout=0.05)
    assert await health.check() == {"index": "unavailable", "queue": "unavailable", "database": None}
    readiness = await health.readiness()
    assert readiness.status == "not_ready"
    assert {name: (check.ok, check.needed) for name, check in readiness.checks.items()} == {
        "index": (False, True),
        "queue": (False, False),
        "database": (True, True),
    }


async def test_readiness_fails_with_a_dependency_but_liveness_does_not(
    client: httpx2.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down() -> None:
        raise UnavailableError("Out of reach.")

    monkeypatch.setitem(services.health.pings, "vector_store", down)
    ready = await client.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json()["checks"]["vector_store"] == {"ok": False, "needed": True, "error": "unavailable"}
    assert (await client.get("/health/live")).status_code == 200


async def test_a_queue_that_is_away_is_named_and_takes_no_process_out_of_rotation(
    client: httpx2.AsyncClient, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down() -> None:
        raise UnavailableError("Out of reach.")

    monkeypatch.setitem(services.health.pings, "job_queue", down)
    ready = await client.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert ready.json()["checks"]["job_queue"] == {"ok": False, "needed": False, "error": "unavailable"}
