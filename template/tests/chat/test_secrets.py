"""Prompts and keys never appear in logs, traces, metrics or errors, whatever a provider does with them."""

import json
from io import StringIO

import httpx2
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import get_tracer, set_tracer_provider

from app.observability.logging import LoggingSettings, configure_logging
from app.settings import Settings
from tests.chat.fake_provider import PROVIDER_SAYS, FakeProvider
from tests.chat.service import PROVIDER_KEY, PROVIDERS, Provider, provider_settings, run_service
from tests.meters import Meters

CANARY = "canary-in-the-prompt"
FAULTS = (
    *("status-400", "status-401", "status-402", "status-404", "status-429", "status-500", "status-529"),
    *("mute", "stalls", "cuts", "early-cuts", "garbled", "early-garbled", "unfinished", "breaks", "steady"),
)


@pytest.fixture(scope="module")
def spans() -> InMemorySpanExporter:
    """All spans from now on; module scope, because the tracer provider can be set only once."""
    exporter, tracing = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    tracing.add_span_processor(SimpleSpanProcessor(exporter))
    set_tracer_provider(tracing)
    return exporter


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_no_fault_makes_the_prompt_or_a_key_turn_up(
    settings: Settings, provider: FakeProvider, kind: Provider, meters: Meters, spans: InMemorySpanExporter
) -> None:
    written, answers = StringIO(), ""
    faulty = provider_settings(provider, kind, FAULTS[0], first_token_timeout=1, idle_timeout=1)
    faulty.aliases = {fault: [f"{kind}:{fault}"] for fault in FAULTS}
    faulty.attempts = 2
    async with run_service(settings, faulty) as service:
        configure_logging(LoggingSettings(level="DEBUG"), written)
        headers = {"Authorization": f"Bearer {service.key}"}
        async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=60) as client:
            for fault in FAULTS:
                for stream in (False, True):
                    messages = [{"role": "user", "content": CANARY}]
                    body = {"model": fault, "messages": messages, "stream": stream}
                    answers += (await client.post("/v1/chat/completions", json=body)).text
    logged = written.getvalue()
    measured = meters.written()
    with get_tracer("test").start_as_current_span("the last one"):
        pass
    traced = "".join(span.to_json() for span in spans.get_finished_spans())
    assert len(provider.calls) >= 2 * len(FAULTS)
    assert CANARY in json.dumps([call.body for call in provider.calls])
    assert logged.count("language_model.failed") >= 2 * (len(FAULTS) - 1)
    assert "app_language_model_failures" in measured
    assert "the last one" in traced
    for secret in (CANARY, PROVIDER_KEY, service.key, PROVIDER_SAYS):
        for told in (logged, answers, measured, traced):
            assert secret not in told
