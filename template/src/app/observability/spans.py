"""Spans: what a request or a job spends its time on; where nobody collects them, they cost next to nothing."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry.trace import Span, SpanKind, StatusCode, get_current_span, get_tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

_tracer = get_tracer("app")
_w3c = TraceContextTextMapPropagator()


@contextmanager
def span(
    name: str,
    attributes: Mapping[str, AttributeValue] | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: str | None = None,
) -> Iterator[Span]:
    """Measure a block; of an exception the span names the class, and nothing of the words, which may quote a caller.

    Args:
        name: what is done, with as few different names as there are things to do.
        attributes: what distinguishes this time from others.
        kind: `CONSUMER` for what was asked for elsewhere.
        parent: the trace that this belongs to, as `trace_parent` gave it; otherwise the one that is under way.
    """
    context = _w3c.extract({"traceparent": parent}) if parent else None
    with _tracer.start_as_current_span(
        name, context, kind, attributes, record_exception=False, set_status_on_exception=False
    ) as opened:
        try:
            yield opened
        except Exception as error:
            mark_failed(opened, error)
            raise


def begin_span(name: str, attributes: Mapping[str, AttributeValue]) -> Span:
    """Begin to measure what ends elsewhere, as a stream does; whoever began it ends it."""
    return _tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes)


def mark_failed(failed: Span, error: Exception) -> None:
    """Note on a span that it ended with this."""
    failed.set_attribute("error.type", type(error).__qualname__)
    failed.set_status(StatusCode.ERROR)


def trace_parent() -> str | None:
    """Name the span that is under way, as the `traceparent` of W3C Trace Context, 55 characters; None without one."""
    carrier: dict[str, str] = {}
    _w3c.inject(carrier)
    return carrier.get("traceparent")


def trace_of() -> dict[str, str]:
    """Say in which trace and span this is, for a line of the log; nothing without one."""
    context = get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
