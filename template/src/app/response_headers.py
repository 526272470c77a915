"""Headers that use cases add to the response, on success, on failure and for streams."""

from collections.abc import Mapping
from contextvars import ContextVar

_headers: ContextVar[dict[str, str] | None] = ContextVar("response_headers", default=None)


def collect_response_headers() -> Mapping[str, str]:
    """Start collecting headers for a request; later calls of `add_response_headers` update the result."""
    headers: dict[str, str] = {}
    _headers.set(headers)
    return headers


def add_response_headers(headers: Mapping[str, str]) -> None:
    """Add headers to the current response; no effect outside a request, as in a worker."""
    collected = _headers.get()
    if collected is not None:
        collected.update(headers)
