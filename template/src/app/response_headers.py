"""Headers that a use case adds to the response, whether it succeeds, fails or streams."""

from collections.abc import Mapping
from contextvars import ContextVar

_headers: ContextVar[dict[str, str] | None] = ContextVar("response_headers", default=None)


def collect_response_headers() -> Mapping[str, str]:
    """Start collecting for a request; the result holds what is added until the response starts."""
    headers: dict[str, str] = {}
    _headers.set(headers)
    return headers


def add_response_headers(headers: Mapping[str, str]) -> None:
    """Add headers to the current response; does nothing outside a request, as in a worker."""
    collected = _headers.get()
    if collected is not None:
        collected.update(headers)
