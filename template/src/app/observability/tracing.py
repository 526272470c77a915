"""Traces, sent to a collector of OpenTelemetry."""

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
from app.observability.sending import SEND_SECONDS, address, send_the_rest

# Where a caller's own words can be.
WORDS = ("url.path", "url.query")


class TracingSettings(BaseModel):
    """Whether requests and jobs are traced, and where to."""

    model_config = ConfigDict(extra="forbid")

    endpoint: HttpUrl | None = Field(
        default=None, description="where a collector takes OTLP over HTTP; none: no traces"
    )
    sample_ratio: float = Field(
        default=1.0, ge=0.0, le=1.0, description="share of traces that are kept, unless the caller has decided"
    )


@asynccontextmanager
async def open_tracing(settings: TracingSettings, service: str) -> AsyncIterator[None]:
    """Trace while the block runs, if there is a collector; what is left to send at its end has a few seconds.

    A collector that is slow or away costs spans, never requests.

    Args:
        settings: where to, and how many.
        service: what the process is called in the traces.
    """
    if settings.endpoint is None:
        yield
        return
    provider = _send_to(address(settings.endpoint, "traces"), settings.sample_ratio, service)
    try:
        yield
    finally:
        await send_the_rest(provider.force_flush)


@cache
def _send_to(url: str, ratio: float, service: str) -> TracerProvider:
    """Make the process's one provider; the SDK takes no second one, nor one back."""
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
    """Takes personal data out of what spans say of a request's address, as out of the log."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Replace it before anybody sees it."""
        attributes = span.attributes or {}
        for name in WORDS:
            if name in attributes:
                span.set_attribute(name, redact_personal_data(unquote_plus(str(attributes[name]))))
