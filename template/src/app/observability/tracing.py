"""Export of traces to an OpenTelemetry collector."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from urllib.parse import unquote_plus

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import set_tracer_provider
from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from app.guardrails.personal_data import redact_personal_data
from app.observability.sending import SEND_SECONDS, flush_with_timeout, signal_url

# Span attributes that may contain personal data.
WORDS = ("url.path", "url.query")


class TracingSettings(BaseModel):
    """The collector and the sampling of traces."""

    model_config = ConfigDict(extra="forbid")

    endpoint: HttpUrl | None = Field(
        default=None, description="OTLP/HTTP endpoint of a collector; none disables tracing"
    )
    sample_ratio: float = Field(
        default=1.0, ge=0.0, le=1.0, description="share of traces to sample, unless the caller's trace decides"
    )


@asynccontextmanager
async def open_tracing(settings: TracingSettings, service: str) -> AsyncIterator[None]:
    """Trace while the block runs, if a collector is configured; its end waits at most a few seconds for exports.

    A slow or unavailable collector loses spans, but never delays requests.

    Args:
        settings: configure the collector and the sampling.
        service: the service name.
    """
    if settings.endpoint is None:
        yield
        return
    provider = _send_to(signal_url(settings.endpoint, "traces"), settings.sample_ratio, service)
    try:
        yield
    finally:
        await flush_with_timeout(provider.force_flush)


@cache
def _send_to(url: str, ratio: float, service: str) -> TracerProvider:
    """Create the process's provider; the SDK allows setting it only once."""
    provider = TracerProvider(
        sampler=ParentBasedTraceIdRatio(ratio),
        resource=Resource.create({SERVICE_NAME: service}),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(Redaction())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(url, timeout=SEND_SECONDS)))
    set_tracer_provider(provider)
    return provider


class Redaction(SpanProcessor):
    """Redacts personal data in the URL attributes of spans, as the logs do."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Redact the attributes before the span is exported."""
        attributes = span.attributes or {}
        for name in WORDS:
            if name in attributes:
                span.set_attribute(name, redact_personal_data(unquote_plus(str(attributes[name]))))
