"""Failover between equivalent servers: tried in order, and paused with exponential backoff when they fail."""

import math
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TypeVar
from urllib.parse import urlsplit

import structlog

from app.errors import OutOfMemoryError, RequestRefusedError, UnavailableError, UpstreamError

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

FIRST_PAUSE = 0.5


class EndpointFailedError(Exception):
    """A server gave no usable response; another server may.

    Attributes:
        away: whether to pause the server. If not, the request may be the cause of the failure.
        pause: seconds of the server's Retry-After, 0 without one.
    """

    def __init__(self, reason: str, *, away: bool = True, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.away = away
        self.pause = pause


@dataclass(slots=True)
class Endpoint:
    """A server and its state.

    Attributes:
        failures: consecutive failures; those of concurrent requests count once.
        until: end of its pause by the monotonic clock; 0 while it is healthy.
    """

    url: str
    failures: int = 0
    until: float = 0.0

    @property
    def host(self) -> str:
        """Host and port, without credentials or path."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


class Endpoints:
    """Sends requests to the first server that is not paused. Thread-safe.

    Args:
        urls: URLs of the servers, preferred first.
        max_pause: the longest pause of a failing server in seconds.
    """

    def __init__(self, urls: Sequence[str], max_pause: float) -> None:
        self._endpoints = [Endpoint(url.rstrip("/")) for url in urls]
        self._max_pause = max_pause
        self._lock = Lock()

    def ask(self, call: Callable[[Endpoint], Answer]) -> Answer:
        """Call `call` with one server after the other until one succeeds; blocks.

        Raises:
            OutOfMemoryError: the last server that answered lacks the memory for this request.
            RequestRefusedError: servers answered, but failed on this request.
            UnavailableError: no server answers; has a Retry-After.
            UpstreamError: whatever else `call` raised; the other servers are not tried.
        """
        refusal: EndpointFailedError | OutOfMemoryError | None = None
        for endpoint in self._endpoints:
            failures = self._claim(endpoint)
            if failures is None:
                continue
            try:
                answer = call(endpoint)
            except EndpointFailedError as error:
                if error.away:
                    self._failed(endpoint, failures, error)
                else:
                    refusal = error
                    self._answered(endpoint)
            except OutOfMemoryError as error:
                refusal = error
                self._answered(endpoint)
            except UpstreamError:
                self._answered(endpoint)
                raise
            else:
                self._answered(endpoint)
                return answer
        if isinstance(refusal, OutOfMemoryError):
            raise refusal
        if refusal is not None:
            raise RequestRefusedError("The remote model failed on this input.") from refusal
        raise UnavailableError("No server that has the model answers.", retry_after=self._seconds_left())

    def each(self, call: Callable[[Endpoint], Answer]) -> list[Answer]:
        """Call `call` with every server and return the results of those that succeed; blocks."""
        answers: list[Answer] = []
        for endpoint in self._endpoints:
            try:
                answers.append(call(endpoint))
            except EndpointFailedError as error:
                self._failed(endpoint, endpoint.failures, error)
            else:
                self._answered(endpoint)
        return answers

    def any_healthy(self) -> bool:
        """Return whether there is a healthy server, that is one whose last request did not fail."""
        with self._lock:
            return any(not endpoint.until for endpoint in self._endpoints)

    def _claim(self, endpoint: Endpoint) -> int | None:
        """Return the failures so far, or None if paused; only one request at a time tries a server that has failed."""
        with self._lock:
            now = time.monotonic()
            if endpoint.until > now:
                return None
            if endpoint.until:
                endpoint.until = now + self._pause(endpoint.failures)
            return endpoint.failures

    def _failed(self, endpoint: Endpoint, failures: int, error: EndpointFailedError) -> None:
        with self._lock:
            if endpoint.failures != failures:
                return
            endpoint.failures += 1
            pause = max(self._pause(endpoint.failures), min(error.pause, self._max_pause))
            endpoint.until = time.monotonic() + pause
        log.warning("remote_inference.unavailable", server=endpoint.host, reason=str(error), pause=round(pause, 2))

    def _answered(self, endpoint: Endpoint) -> None:
        with self._lock:
            was_away, endpoint.failures, endpoint.until = endpoint.until, 0, 0.0
        if was_away:
            log.info("remote_inference.available", server=endpoint.host)

    def _pause(self, failures: int) -> float:
        longest = min(self._max_pause, FIRST_PAUSE * 2.0 ** min(failures - 1, 30))
        return longest * random.uniform(0.5, 1)  # noqa: S311 - spreads retries, guards nothing

    def _seconds_left(self) -> int:
        with self._lock:
            return max(1, math.ceil(min(each.until for each in self._endpoints) - time.monotonic()))
