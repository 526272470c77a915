"""Servers that can stand in for each other: asked in order, left alone for a while when they fail."""

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
    """A server gave no usable answer; another may.

    Attributes:
        away: whether it should be left alone for a while. If not, the request may be what it failed on.
        pause: seconds for which it has asked to be left alone.
    """

    def __init__(self, reason: str, *, away: bool = True, pause: float = 0.0) -> None:
        super().__init__(reason)
        self.away = away
        self.pause = pause


@dataclass(slots=True)
class Endpoint:
    """A server, and how it has done.

    Attributes:
        failures: in a row; those of requests that ran at the same time count once.
        until: when it may be asked again, by the monotonic clock; 0 while it is well.
    """

    url: str
    failures: int = 0
    until: float = 0.0

    @property
    def host(self) -> str:
        """Host and port, without credentials or path."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


class Endpoints:
    """Asks the first server that is well. Thread-safe.

    Args:
        urls: of the servers, preferred first.
        max_pause: seconds for which one that keeps failing is left alone, at most.
    """

    def __init__(self, urls: Sequence[str], max_pause: float) -> None:
        self._endpoints = [Endpoint(url.rstrip("/")) for url in urls]
        self._max_pause = max_pause
        self._lock = Lock()

    def ask(self, call: Callable[[Endpoint], Answer]) -> Answer:
        """Call with one server after the other until one answers; blocks.

        Raises:
            OutOfMemoryError: no server that is there has the memory for this request.
            RequestRefusedError: no server is away, but each failed on this request.
            UnavailableError: none answers; says when to come back.
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
        """Call with every server, and return the answers of those that give one; blocks."""
        answers: list[Answer] = []
        for endpoint in self._endpoints:
            try:
                answers.append(call(endpoint))
            except EndpointFailedError as error:
                self._failed(endpoint, endpoint.failures, error)
            else:
                self._answered(endpoint)
        return answers

    def any_well(self) -> bool:
        """Tell whether there is a server that has not failed when it was last asked."""
        with self._lock:
            return any(not endpoint.until for endpoint in self._endpoints)

    def _claim(self, endpoint: Endpoint) -> int | None:
        """Return the failures so far if it may be asked; one request at a time tries a server that has failed."""
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
        log.warning("remote_inference.away", server=endpoint.host, reason=str(error), pause=round(pause, 2))

    def _answered(self, endpoint: Endpoint) -> None:
        with self._lock:
            was_away, endpoint.failures, endpoint.until = endpoint.until, 0, 0.0
        if was_away:
            log.info("remote_inference.back", server=endpoint.host)

    def _pause(self, failures: int) -> float:
        longest = min(self._max_pause, FIRST_PAUSE * 2.0 ** min(failures - 1, 30))
        return longest * random.uniform(0.5, 1)  # noqa: S311 - spreads retries, guards nothing

    def _seconds_left(self) -> int:
        with self._lock:
            return max(1, math.ceil(min(each.until for each in self._endpoints) - time.monotonic()))
