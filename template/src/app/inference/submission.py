"""What a caller submits to a batcher, and what comes of it."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import OverloadedError
from app.inference.fair_queue import Item


@dataclass(frozen=True, slots=True)
class Outcome:
    """Results in the order of what was submitted.

    Attributes:
        queue_seconds: from submission until the first of it ran.
        run_seconds: from then until the last of it had run.
    """

    results: list[Any]
    queue_seconds: float
    run_seconds: float


@dataclass(slots=True, eq=False)
class Submission:
    """Items that are answered together; belongs to the event loop. Times are of the monotonic clock.

    Attributes:
        future: what the caller waits for.
        left: items without a result.
        expires: when nobody wants the answer any more.
        started: when the first item ran.
        timer: what happens next if there is no answer.
    """

    future: asyncio.Future[Outcome]
    results: list[Any]
    left: int
    submitted: float
    expires: float
    started: float = math.inf
    timer: asyncio.TimerHandle | None = None

    def items(self, payloads: Sequence[Any], sizes: Sequence[int]) -> list[Item]:
        """Make its rows of batches to come."""
        return [Item(*each, self, at) for at, each in enumerate(zip(payloads, sizes, strict=True))]

    def put(self, index: int, result: Any, ended: float) -> bool:  # noqa: ANN401 - whatever the model gives
        """Take in the result of one item; True when it was the last that somebody waited for."""
        self.results[index] = result
        self.left -= 1
        if self.left or self.future.done():
            return False
        self.future.set_result(Outcome(self.results, self.started - self.submitted, ended - self.started))
        return True

    def stop(self) -> None:
        """Let nothing more happen."""
        if self.timer:
            self.timer.cancel()

    def fail(self, error: Exception) -> None:
        """Answer with an error, unless there is an answer."""
        if not self.future.done():
            self.future.set_exception(error)


def overloaded(seconds: float) -> OverloadedError:
    """Say that there is too much to do, and after how many seconds to come back."""
    return OverloadedError("The model has more work than it can do in time.", retry_after=max(1, math.ceil(seconds)))
