"""Submissions to a batcher and their results."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import OverloadedError
from app.inference.fair_queue import Item


@dataclass(frozen=True, slots=True)
class Outcome:
    """Results of a submission, in the order of its payloads.

    Attributes:
        queue_seconds: time from submission until the first item started to run.
        run_seconds: time from then until the last item had run.
    """

    results: list[Any]
    queue_seconds: float
    run_seconds: float


@dataclass(slots=True, eq=False)
class Submission:
    """Items that are answered together; used on the event loop only. Times are of the monotonic clock.

    Attributes:
        future: awaited by the caller.
        results: one per item, None until it has run.
        left: number of items without a result.
        submitted: when it was submitted.
        expires: deadline for items to start; infinite without one.
        started: when the first item started to run; infinite until then.
        timer: pending call that ends the submission if it is late.
    """

    future: asyncio.Future[Outcome]
    results: list[Any]
    left: int
    submitted: float
    expires: float
    started: float = math.inf
    timer: asyncio.TimerHandle | None = None

    def items(self, payloads: Sequence[Any], sizes: Sequence[int]) -> list[Item]:
        """Return one queue item per payload."""
        return [Item(*each, self, at) for at, each in enumerate(zip(payloads, sizes, strict=True))]

    def put(self, index: int, result: Any, ended: float) -> bool:  # noqa: ANN401 - whatever the model gives
        """Store the result of an item; return whether this completed the submission."""
        self.results[index] = result
        self.left -= 1
        if self.left:
            return False
        self.stop()
        if self.future.done():
            return False
        self.future.set_result(Outcome(self.results, self.started - self.submitted, ended - self.started))
        return True

    def stop(self) -> None:
        """Cancel the timer."""
        if self.timer:
            self.timer.cancel()

    def fail(self, error: Exception) -> None:
        """Fail the submission, unless it is already done."""
        self.stop()
        if not self.future.done():
            self.future.set_exception(error)


def overloaded(seconds: float) -> OverloadedError:
    """Return an OverloadedError with a Retry-After of the given seconds, rounded up, at least 1."""
    return OverloadedError("The model is overloaded.", retry_after=max(1, math.ceil(seconds)))
