"""Tracing spans for the steps of requests and jobs; they cost next to nothing if tracing is off."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, get_current_span, get_tracer, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

Attributes = Mapping[str, AttributeValue]

_tracer = get_tracer("app")
_w3c = TraceContextTextMapPropagator()


def span(name: str, attributes: Attributes) -> AbstractContextManager[Span]:
    """Trace a block as a child of the current span; do nothing if there is none that records.

    For an exception the span has the class, but not the message, which may quote a caller.

    Args:
        name: the operation, of low cardinality.
        attributes: the details of this call.
    """
    if not get_current_span().is_recording():
        return nullcontext(INVALID_SPAN)
    return _measured(_tracer.start_span(name, attributes=attributes))


def consumer_span(name: str, attributes: Attributes, parent: str | None) -> AbstractContextManager[Span]:
    """Trace a block that continues the trace of another process, such as a job.

    Args:
        name: the operation, of low cardinality.
        attributes: the details of this call.
        parent: the `trace_parent` of the span that created the job; None starts a new trace.
    """
    context = _w3c.extract({"traceparent": parent or ""})
    return _measured(_tracer.start_span(name, context, SpanKind.CONSUMER, attributes))


@contextmanager
def _measured(measured: Span) -> Iterator[Span]:
    with use_span(measured, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield measured
        except Exception as error:
            mark_failed(measured, error)
            raise


def begin_span(name: str, attributes: Attributes) -> Span:
    """Start a span that the caller must end, for example when a stream ends."""
    return _tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)


def mark_failed(failed: Span, error: Exception) -> None:
    """Mark a span as failed, with the class of the error."""
    failed.set_attribute("error.type", type(error).__qualname__)
    failed.set_status(StatusCode.ERROR)


def trace_parent() -> str | None:
    """Return the current span as a `traceparent` of W3C Trace Context, 55 characters; None if there is none."""
    carrier: dict[str, str] = {}
    _w3c.inject(carrier)
    return carrier.get("traceparent")


def trace_ids() -> dict[str, str]:
    """Return the ids of the current trace and span for log lines; empty if there are none."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
