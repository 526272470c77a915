"""Threads that run a model's batches concurrently."""

import os
import sys
import time
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from threading import Thread, get_native_id
from typing import Any

import structlog
from numpy.typing import NDArray

from app.errors import OutOfMemoryError, RequestRefusedError, UpstreamError
from app.inference.batch_policy import BatchPolicy
from app.inference.fair_queue import Item

log = structlog.get_logger(__name__)

# On shutdown, the time to wait for a lane whose batch does not end.
JOIN_SECONDS = 5.0
# Lanes run at lower priority, so that the event loop answers health probes and rejects requests even if cores are busy.
NICENESS = 10

Results = Sequence[Any] | NDArray[Any]
Run = Callable[[Sequence[Any]], Results]
"""Computes one result for each payload; blocks."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Result of a batch, or of a part of one that failed; times are of the monotonic clock.

    Attributes:
        results: one per item; None if it failed.
        error: why it failed.
        more: whether the lane continues with other parts of a failed batch.
    """

    lane: int
    items: Sequence[Item]
    started: float
    ended: float
    results: Results | None
    error: BaseException | None = None
    more: bool = False

    def failure(self) -> UpstreamError:
        """Return the error for the callers: an UpstreamError itself, any other as cause of a RequestRefusedError.

        Tracebacks are removed: their frames refer to the batch and so to the error itself, a reference cycle.
        """
        error = self.error
        while error is not None:
            error.__traceback__ = None
            error = error.__cause__ or error.__context__
        if isinstance(self.error, UpstreamError):
            return self.error
        failure = RequestRefusedError("The model failed on this input.")
        failure.__cause__ = self.error
        return failure


class Lanes:
    """Runs batches in one thread per `run`; a thread that dies is replaced.

    Args:
        runs: the function that each lane runs batches with.
        take: blocks until there is a batch for the lane with this number; an empty batch ends the thread.
        report: called in the lane's thread with the result of each batch, before the lane takes the next.
        policy: updated after batches that fail.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        take: Callable[[int], Sequence[Item]],
        report: Callable[[BatchResult], None],
        policy: BatchPolicy,
    ) -> None:
        self._runs = runs
        self._take = take
        self._report = report
        self._policy = policy
        self._threads: dict[int, Thread] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def start(self) -> None:
        """Start every lane."""
        for lane in range(len(self._runs)):
            self._start(lane)

    def join(self) -> bool:
        """Wait for the threads to end and release the runs; return False if a thread is stuck."""
        until = time.monotonic() + JOIN_SECONDS
        for thread in list(self._threads.values()):
            thread.join(max(0.0, until - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads.values()):
            return False
        # The lanes and their owner refer to each other: release the models that the runs hold without waiting for GC.
        self._runs = ()
        return True

    def _start(self, lane: int) -> None:
        self._threads[lane] = Thread(target=self._live, args=(lane,), name=f"lane-{lane}", daemon=True)
        self._threads[lane].start()

    def _live(self, lane: int) -> None:
        items: Sequence[Item] = ()
        started = time.monotonic()
        _lower_priority()
        try:
            while items := self._take(lane):
                started = time.monotonic()
                self._serve(lane, items)
                items = ()  # keep no reference to the batch while waiting for the next
        except BaseException as error:
            # Whatever ends this thread: fail the batch and start a new thread.
            log.exception("lane.died", lane=lane)
            try:
                self._report(BatchResult(lane, items, started, time.monotonic(), None, error))
            finally:
                self._start(lane)

    def _serve(self, lane: int, items: Sequence[Item]) -> None:
        """Run a batch; if it fails, run halves, so that one caller's bad input fails only that caller."""
        rest = [items]
        too_large: Sequence[Item] = ()
        while rest:
            part, started = rest.pop(), time.monotonic()
            try:
                result = self._run(lane, part, started)
            except Exception as error:  # noqa: BLE001 - a model may raise anything
                log.warning("model.batch_failed", lane=lane, rows=len(part), callers=_callers(part), error=repr(error))
                if halves := _halves(part, error):
                    rest += reversed(halves)
                    too_large = part if isinstance(error, OutOfMemoryError) else too_large
                    continue
                if not _is_unavailable(error):
                    self._policy.isolate(part[0].owner)
                result = BatchResult(lane, part, started, time.monotonic(), None, error)
                rest = list(filter(None, (_without(each, part) for each in rest)))
            self._report(replace(result, more=True) if rest else result)
            if result.results is None:
                too_large = ()
        if too_large:
            self._policy.shrink(too_large)

    def _run(self, lane: int, items: Sequence[Item], started: float) -> BatchResult:
        results = self._runs[lane]([item.payload for item in items])
        if len(results) != len(items):
            raise ValueError(f"The model gave {len(results)} results for {len(items)} inputs.")
        return BatchResult(lane, items, started, time.monotonic(), results)


def _lower_priority() -> None:
    """Lower the scheduling priority of the current thread; Linux only, where priorities are per thread.

    Does nothing if the system forbids it.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, get_native_id(), NICENESS)


def _halves(items: Sequence[Item], error: Exception) -> list[Sequence[Item]]:
    """Split a failed batch between callers, or one caller's rows if memory ran out; empty if a retry is pointless."""
    if _is_unavailable(error):
        return []
    groups = _by_group(items)
    if len(groups) > 1:
        middle = len(groups) // 2
        return [list(chain(*groups[:middle])), list(chain(*groups[middle:]))]
    middle = len(items) // 2
    return [items[:middle], items[middle:]] if isinstance(error, OutOfMemoryError) and middle else []


def _is_unavailable(error: BaseException) -> bool:
    """Return whether the model fails for all callers, such as on another server, whatever the input."""
    return isinstance(error, UpstreamError) and not isinstance(error, OutOfMemoryError | RequestRefusedError)


def _without(items: Sequence[Item], failed: Sequence[Item]) -> Sequence[Item]:
    """Return the items without those of submissions that have failed."""
    groups = {id(item.group) for item in failed}
    return [item for item in items if id(item.group) not in groups]


def _callers(items: Sequence[Item]) -> int:
    return len({id(item.group) for item in items})


def _by_group(items: Sequence[Item]) -> list[list[Item]]:
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(id(item.group), []).append(item)
    return list(groups.values())
