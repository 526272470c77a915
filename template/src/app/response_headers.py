"""Headers that a use case adds to whatever is answered, be it a success, a failure or a stream."""

from collections.abc import Mapping
from contextvars import ContextVar

_headers: ContextVar[dict[str, str] | None] = ContextVar("response_headers", default=None)


def collect_response_headers() -> Mapping[str, str]:
    """Begin a request; what is added until its answer starts is found in the result."""
    headers: dict[str, str] = {}
    _headers.set(headers)
    return headers


def add_response_headers(headers: Mapping[str, str]) -> None:
    """Add headers to the answer of the request at hand; nothing happens where there is none, as in a worker."""
    collected = _headers.get()
    if collected is not None:
        collected.update(headers)
