"""Tests of the traces that an API and a worker send to a collector from separate processes."""

import asyncio
import json
import socket
from pathlib import Path

import httpx2
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from app.documents.service import INGEST
from app.observability import spans
from app.observability.tracing import Redaction
from tests.chat.service import run_process
from tests.observability.collector import Collector
from tests.observability.processes import run_worker, wait_until_indexed

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
MANUAL = b"# Kettle\n\nThe warranty of the kettle is 24 months.\n"


async def test_a_trace_goes_from_the_caller_through_the_api_and_the_worker(
    key: str, collector: Collector, tmp_path: Path
) -> None:
    environment = {"APP_TRACING__ENDPOINT": collector.url, "APP_SERVICE__NAME": "traced", "APP_LOGGING__FORMAT": "json"}
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        run_worker(environment, tmp_path / "worker.log"),
        run_process(environment, tmp_path / "api.log") as (url, api),
        httpx2.AsyncClient(base_url=url, headers=headers, timeout=60) as client,
    ):
        given = {"traceparent": f"00-{TRACE}-{CALLER}-01", "X-Request-ID": "request-of-ada"}
        uploaded = await client.post("/v1/documents", files={"file": ("kettle.md", MANUAL)}, headers=given)
        await wait_until_indexed(client, uploaded.json()["document"])
        question = {"question": "How long is the warranty?"}
        answered = await client.post("/v1/answers", json=question, params={"for": "ada@example.com"})
        assert answered.status_code == 200, answered.text
        assert (await client.get("/health/ready")).status_code == 200
        api.terminate()
        await asyncio.to_thread(api.wait)
    asked, job = collector.named("POST /v1/documents"), collector.named(f"job {INGEST}")
    assert (asked.service, asked.trace_id, asked.parent_id) == ("traced", TRACE, CALLER)
    assert asked.attributes["app.request_id"] == "request-of-ada"
    assert (job.service, job.trace_id, job.parent_id) == ("traced", TRACE, asked.span_id)
    of_job = {each.name for each in collector.spans if each.parent_id == job.span_id}
    assert of_job == {"read document", "run model", "store vectors"}
    answer = collector.named("POST /v1/answers")
    steps = [each for each in collector.spans if each.parent_id == answer.span_id]
    assert [each.name for each in steps[:-1]] == ["run model", "search words", "search vectors"]
    assert steps[-1].name.startswith("chat ")
    assert answer.attributes["url.query"] == "for=[email]"
    assert not [each for each in collector.spans if "/health" in each.name]
    [done] = [line for line in (tmp_path / "worker.log").read_text().splitlines() if '"job.succeeded"' in line]
    told = json.loads(done)
    assert (told["trace_id"], told["span_id"]) == (TRACE, job.span_id)


async def test_a_collector_that_never_answers_holds_up_neither_requests_nor_the_end(key: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment = {"APP_TRACING__ENDPOINT": url, "APP_METRICS__ENDPOINT": url}
        async with run_process(environment, tmp_path / "api.log") as (url, api):
            async with httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}) as client:
                for _ in range(20):
                    assert (await client.get("/v1/documents")).status_code == 200
            api.terminate()
            await asyncio.wait_for(asyncio.to_thread(api.wait), 30)


def test_spans_repeat_neither_what_callers_nor_what_errors_say(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Redaction())
    monkeypatch.setattr(spans, "_tracer", provider.get_tracer("test"))
    asked = {"url.query": "q=ada%40example.com"}
    with pytest.raises(ValueError, match="secret"), spans.consumer_span("step", asked, None) as failed:
        raise ValueError("a secret of ada@example.com")
    assert isinstance(failed, ReadableSpan)
    assert failed.attributes == {"url.query": "q=[email]", "error.type": "ValueError"}
    assert not failed.events
    assert failed.status.description is None


def test_without_a_trace_there_is_nothing_to_name() -> None:
    assert (spans.trace_parent(), spans.trace_ids()) == (None, {})
