"""Dynamic batching: queueing, admission control, deadlines and draining around a model's lanes."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from threading import Condition
from typing import Any

import structlog

from app.errors import UnavailableError, UpstreamTimeoutError
from app.inference.batch_policy import BatchPolicy
from app.inference.fair_queue import BatchLimit, FairQueue, Item
from app.inference.forecast import Forecast
from app.inference.lanes import BatchResult, Lanes, Run
from app.inference.latency_curve import LatencyCurve
from app.inference.metrics import BatchMetrics
from app.inference.submission import Outcome, Submission, overloaded
from app.observability.spans import span

log = structlog.get_logger(__name__)


class Batcher:
    """Shares a model's lanes between callers: a free lane at once takes a batch of what is queued, in fair turns.

    Args:
        name: the model's name, for logs and metrics.
        runs: the function that each lane runs batches with.
        curve: the model's latency by batch size.
        rows: the most items of a batch.
    """

    def __init__(self, name: str, runs: Sequence[Run], curve: LatencyCurve, *, rows: int) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._policy = BatchPolicy(BatchLimit(rows, curve.limit, curve))
        self._queue = FairQueue()
        self._forecast = Forecast(curve)
        # Guards the queue and the forecast, which are shared by the event loop and the lanes.
        self._ready = Condition()
        self._open: set[Submission] = set()
        self._draining = False
        self._closed = False
        self._stuck = False
        self._waking = False
        self._lanes = Lanes(runs, self._take, self._report, self._policy)
        self._metrics = BatchMetrics(name, lambda: self.waiting)
        self._lanes.start()

    @property
    def waiting(self) -> int:
        """Number of items that no lane has taken yet."""
        return len(self._queue)

    async def submit(
        self, payloads: Sequence[Any], sizes: Sequence[int], *, owner: Hashable = None, within: float | None = None
    ) -> Outcome:
        """Run payloads, batched with other queued work, and return their results.

        Args:
            payloads: model inputs, one per row.
            sizes: the length of each, in the unit of the latency curve.
            owner: key for fair scheduling: owners take turns.
            within: deadline in seconds; extended if the payloads need more than one batch. None waits indefinitely.

        Raises:
            OverloadedError: the deadline cannot be met, or has passed before a lane took the last payloads.
            UnavailableError: the service is shutting down.
            RequestRefusedError: the model failed on this input.
            UpstreamError: the model did not answer, or the remote server that runs it failed.
        """
        with span("run model", {"app.model": self._name, "app.rows": len(payloads)}) as opened:
            outcome = await self._submit(payloads, sizes, owner, within)
            opened.set_attributes({"app.queue_seconds": outcome.queue_seconds, "app.run_seconds": outcome.run_seconds})
            return outcome

    async def _submit(
        self, payloads: Sequence[Any], sizes: Sequence[int], owner: Hashable, within: float | None
    ) -> Outcome:
        self._check_open()
        if not payloads:
            return Outcome([], 0.0, 0.0)
        now = time.monotonic()
        seconds = math.inf if within is None else self.admit(sum(sizes), owner=owner, within=within)
        work = Submission(self._loop.create_future(), [None] * len(payloads), len(payloads), now, now + seconds)
        self._open.add(work)
        with self._ready:
            self._queue.add(work.items(payloads, sizes), owner)
        if not self._waking:  # deferred, so that submissions of the same iteration of the loop can share a batch
            self._waking = True
            self._loop.call_soon(self._wake)
        if within is not None:
            work.timer = self._loop.call_later(seconds, self._expire, work, seconds)
        try:
            return await work.future
        finally:
            self._open.discard(work)
            work.left -= self._withdraw(work) if work.left else 0
            # If the caller left while its items run, the timer still has to notice a batch that never ends.
            if not work.left or not work.future.cancelled():
                work.stop()
            # An error's traceback refers to this frame: avoid the cycle of frame, submission and error.
            del work

    def admit(self, units: int, *, owner: Hashable, within: float) -> float:
        """Return the deadline in seconds that a submission of this size would get now; call before costly preparation.

        Raises:
            OverloadedError: the submission could not be done in time.
            UnavailableError: the service is shutting down.
        """
        self._check_open()
        with self._ready:
            late = self._forecast.lateness(units, owner, self._queue, within=within, now=time.monotonic())
            if not late:
                # Twice, because a large submission takes turns with other owners' work.
                return within + 2 * self._forecast.beyond_a_batch(units)
            self._forecast.learn_refusal()
        self._metrics.rejected("overloaded")
        raise overloaded(late)

    def ping(self) -> None:
        """Raise UnavailableError if the service is shutting down or every lane is stuck in a batch."""
        self._check_open()
        if self._stuck and not self._forecast.is_idle():
            raise UnavailableError("The model does not answer.")

    def _check_open(self) -> None:
        if self._draining:
            raise UnavailableError("The service is shutting down.")

    async def close(self, grace: float) -> None:
        """Reject new work, let submitted work finish within `grace` seconds, fail the rest and stop the lanes."""
        self._draining = True
        left = set(self._open)
        if left:
            log.info("batcher.draining", model=self._name, submissions=len(left), grace=grace)
            await asyncio.wait([work.future for work in left], timeout=grace)
        for work in left:
            work.fail(UnavailableError("The service shut down before the model answered."))
            self._withdraw(work)
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        self._metrics.close()
        if not await asyncio.to_thread(self._lanes.join):
            log.error("lane.stuck", model=self._name)

    def _wake(self) -> None:
        self._waking = False
        with self._ready:
            self._ready.notify()

    def _take(self, lane: int) -> Sequence[Item]:
        with self._ready:
            while True:
                items = self._queue.take(self._policy.limit(), self._policy.compatible)
                now = time.monotonic()
                if live := self._drop_late(items, now):
                    if self._queue:
                        self._ready.notify()
                    self._forecast.began(lane, sum(item.size for item in live), now)
                    return live
                if self._closed:
                    return ()
                if not items:
                    self._ready.wait()

    def _drop_late(self, items: Sequence[Item], now: float) -> Sequence[Item]:
        for late in {item.group for item in items if item.group.expires <= now}:
            self._call_on_loop(partial(self._drop, late))
        return [item for item in items if item.group.expires > now]

    def _report(self, result: BatchResult) -> None:
        with self._ready:
            if not result.more:
                self._forecast.ended(result.lane)
            if result.results is not None:
                self._forecast.learn(sum(item.size for item in result.items), result.ended - result.started)
        self._call_on_loop(partial(self._settle, result))

    def _call_on_loop(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: no caller is left
            self._loop.call_soon_threadsafe(call)

    def _settle(self, result: BatchResult) -> None:
        """Deliver results to the callers; runs on the event loop while the lane continues with its next batch."""
        now = time.monotonic()
        self._stuck = False
        with self._ready:
            self._forecast.learn_lag(now - result.ended)
        self._metrics.ran(len(result.items), result.ended - result.started, failed=result.results is None)
        for at, item in enumerate(result.items):
            work: Submission = item.group
            work.started = min(work.started, result.started)
            if result.results is None:
                work.fail(result.failure())
                continue
            if work.put(item.index, result.results[at], result.ended):
                self._metrics.waited(work.started - work.submitted)
                self._learn_outcome(work, now)

    def _expire(self, work: Submission, seconds: float) -> None:
        """Drop a submission that has items in the queue; one that is running gets the same time once more."""
        if self._withdraw(work):
            self._drop(work)
        else:
            work.timer = self._loop.call_later(seconds, self._give_up, work)

    def _give_up(self, work: Submission) -> None:
        self._stuck = True
        log.error("batch.stuck", model=self._name, rows=work.left)
        work.fail(UpstreamTimeoutError("The model has not answered in time."))

    def _drop(self, work: Submission) -> None:
        if not work.future.done():
            self._metrics.rejected("expired")
            self._learn_outcome(work, math.inf)
            with self._ready:
                left = self._forecast.backlog(self._queue.units)
            work.fail(overloaded(left))

    def _learn_outcome(self, work: Submission, now: float) -> None:
        if math.isfinite(work.expires):
            with self._ready:
                self._forecast.learn_outcome(in_time=now <= work.expires)

    def _withdraw(self, work: Submission) -> int:
        with self._ready:
            return self._queue.discard(work)


@asynccontextmanager
async def open_batcher(
    name: str, runs: Sequence[Run], curve: LatencyCurve, *, rows: int, grace: float
) -> AsyncIterator[Batcher]:
    """Open a batcher; on exit submitted work may finish within `grace` seconds."""
    batcher = Batcher(name, runs, curve, rows=rows)
    try:
        yield batcher
    finally:
        await batcher.close(grace)
