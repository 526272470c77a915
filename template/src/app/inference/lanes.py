"""Threads that run batches, one after the other, each on a session."""

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

from app.errors import OutOfMemoryError, RequestRefusedError, UnavailableError, UpstreamError
from app.inference.company import Company
from app.inference.fair_queue import Item

log = structlog.get_logger(__name__)

# A lane whose batch never ends must not keep the process alive.
JOIN_SECONDS = 5.0
# Where cores are short, whoever waits for an answer from the event loop, be it a refusal or a health probe, goes first.
NICENESS = 10

Results = Sequence[Any] | NDArray[Any]
Run = Callable[[Sequence[Any]], Results]
"""Computes one result for each payload; blocks."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a batch; times are of the monotonic clock.

    Attributes:
        results: one for each item; None if it failed.
        more: whether the lane is still at other parts of a batch that failed.
    """

    lane: int
    items: Sequence[Item]
    started: float
    ended: float
    results: Results | None
    error: BaseException | None = None
    more: bool = False

    def failure(self) -> UpstreamError:
        """Return what callers are told of the error; one that says nothing to them is its cause.

        Tracebacks are dropped: their frames hold the batch, and so the error itself, for whoever waits for it.
        """
        told = self.error
        while told is not None:
            told.__traceback__ = None
            told = told.__cause__ or told.__context__
        if isinstance(self.error, UpstreamError):
            return self.error
        failure = RequestRefusedError("The model failed on this input.")
        failure.__cause__ = self.error
        return failure


class Lanes:
    """One thread for each `run`; a thread that dies is replaced.

    Args:
        runs: what each lane computes with.
        take: blocks until there is a batch for the lane of this number; an empty one ends the thread.
        report: is told how each batch ended, in the lane's thread, before the lane takes the next.
        company: learns from batches that fail.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        take: Callable[[int], Sequence[Item]],
        report: Callable[[Ran], None],
        company: Company,
    ) -> None:
        self._runs = runs
        self._take = take
        self._report = report
        self._company = company
        self._threads: dict[int, Thread] = {}

    def __len__(self) -> int:
        return len(self._runs)

    def start(self) -> None:
        """Start every lane."""
        for lane in range(len(self._runs)):
            self._start(lane)

    def join(self) -> bool:
        """Wait for the threads, which `take` has told to end, and let go of the runs; False if one is stuck."""
        until = time.monotonic() + JOIN_SECONDS
        for thread in list(self._threads.values()):
            thread.join(max(0.0, until - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads.values()):
            return False
        # Whoever reports to the lanes' owner holds it as it holds them; what runs hold, a model, shall go at once.
        self._runs = ()
        return True

    def _start(self, lane: int) -> None:
        self._threads[lane] = Thread(target=self._live, args=(lane,), name=f"lane-{lane}", daemon=True)
        self._threads[lane].start()

    def _live(self, lane: int) -> None:
        items: Sequence[Item] = ()
        started = time.monotonic()
        _give_way()
        try:
            while items := self._take(lane):
                started = time.monotonic()
                self._serve(lane, items)
                items = ()  # who waits for work holds none
        except BaseException as error:
            # Whatever ends this thread: callers are told, and another takes its place.
            log.exception("lane.died", lane=lane)
            try:
                self._report(Ran(lane, items, started, time.monotonic(), None, error))
            finally:
                self._start(lane)

    def _serve(self, lane: int, items: Sequence[Item]) -> None:
        """Run items; where that fails, halves of them, so that one caller's input fails that caller alone."""
        rest = [items]
        too_large: Sequence[Item] = ()
        while rest:
            part, started = rest.pop(), time.monotonic()
            try:
                ran = self._run(lane, part, started)
            except Exception as error:  # noqa: BLE001 - a model may raise anything
                log.warning("model.batch_failed", lane=lane, rows=len(part), callers=_callers(part), error=repr(error))
                if halves := _halves(part, error):
                    rest += reversed(halves)
                    too_large = part if isinstance(error, OutOfMemoryError) else too_large
                    continue
                if not _is_away(error):
                    self._company.keep_apart(part[0].owner)
                ran = Ran(lane, part, started, time.monotonic(), None, error)
                rest = list(filter(None, (_without(each, part) for each in rest)))
            self._report(replace(ran, more=True) if rest else ran)
            if ran.results is None:
                too_large = ()
        if too_large:
            self._company.shrink(too_large)

    def _run(self, lane: int, items: Sequence[Item], started: float) -> Ran:
        results = self._runs[lane]([item.payload for item in items])
        if len(results) != len(items):
            raise ValueError(f"The model gave {len(results)} results for {len(items)} inputs.")
        return Ran(lane, items, started, time.monotonic(), results)


def _give_way() -> None:
    """Let other threads of the process have the processor first; on Linux, where a thread has a priority of its own.

    Sandboxes may forbid it; then lanes run as all others do.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, get_native_id(), NICENESS)


def _halves(items: Sequence[Item], error: Exception) -> list[Sequence[Item]]:
    """Cut in two what may pass in parts: between callers, or one caller's rows where there was no memory for all."""
    if _is_away(error):
        return []
    groups = _by_group(items)
    if len(groups) > 1:
        middle = len(groups) // 2
        return [list(chain(*groups[:middle])), list(chain(*groups[middle:]))]
    middle = len(items) // 2
    return [items[:middle], items[middle:]] if isinstance(error, OutOfMemoryError) and middle else []


def _is_away(error: BaseException) -> bool:
    """Tell whether a model is away, for each caller alike; memory that does not do for all may do for some."""
    return isinstance(error, UnavailableError) and not isinstance(error, OutOfMemoryError)


def _without(items: Sequence[Item], failed: Sequence[Item]) -> Sequence[Item]:
    """Leave out what belongs to those who have failed: nobody waits for it any more."""
    groups = {id(item.group) for item in failed}
    return [item for item in items if id(item.group) not in groups]


def _callers(items: Sequence[Item]) -> int:
    return len({id(item.group) for item in items})


def _by_group(items: Sequence[Item]) -> list[list[Item]]:
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault(id(item.group), []).append(item)
    return list(groups.values())
