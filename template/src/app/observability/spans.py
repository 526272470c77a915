"""Spans: what a request or a job spends its time on; where nobody collects them, they cost next to nothing."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext

from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, get_current_span, get_tracer, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

Attributes = Mapping[str, AttributeValue]

_tracer = get_tracer("app")
_w3c = TraceContextTextMapPropagator()


def span(name: str, attributes: Attributes) -> AbstractContextManager[Span]:
    """Measure a block as a step of what is traced, if it is: otherwise a look is all that it costs.

    Of an exception the span names the class, and nothing of the words, which may quote a caller.

    Args:
        name: what is done, with as few different names as there are things to do.
        attributes: what distinguishes this time from others.
    """
    if not get_current_span().is_recording():
        return nullcontext(INVALID_SPAN)
    return _measured(_tracer.start_span(name, attributes=attributes))


def first_span(name: str, attributes: Attributes, parent: str | None) -> AbstractContextManager[Span]:
    """Measure a block as `span` does, where a process takes up what another has asked for.

    Args:
        name: what is done.
        attributes: what distinguishes this time from others.
        parent: what `trace_parent` gave where it was asked for; without it a trace begins here.
    """
    asked = _w3c.extract({"traceparent": parent or ""})
    return _measured(_tracer.start_span(name, asked, SpanKind.CONSUMER, attributes))


@contextmanager
def _measured(measured: Span) -> Iterator[Span]:
    with use_span(measured, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield measured
        except Exception as error:
            mark_failed(measured, error)
            raise


def begin_span(name: str, attributes: Attributes) -> Span:
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
