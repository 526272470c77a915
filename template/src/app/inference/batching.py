"""Requests that arrive together run together: queueing, admission, deadlines and draining around a model's lanes."""

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
from app.inference.company import Company
from app.inference.fair_queue import BatchLimit, FairQueue, Item
from app.inference.forecast import Forecast
from app.inference.lanes import Lanes, Ran, Run
from app.inference.latency_curve import LatencyCurve
from app.inference.metrics import BatchMetrics
from app.inference.submission import Outcome, Submission, overloaded
from app.observability.spans import span

log = structlog.get_logger(__name__)


class Batcher:
    """Shares lanes between callers: a free lane takes at once what is queued, in fair turns, up to a limit.

    Args:
        name: of the model, for logs and metrics.
        runs: what each lane computes with.
        curve: how long how much takes.
        rows: items that may run together.
    """

    def __init__(self, name: str, runs: Sequence[Run], curve: LatencyCurve, *, rows: int) -> None:
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._company = Company(BatchLimit(rows, curve.limit, curve))
        self._queue = FairQueue()
        self._forecast = Forecast(curve)
        # Guards the queue and the forecast, which the event loop and the lanes share.
        self._ready = Condition()
        self._open: set[Submission] = set()
        self._draining = False
        self._closed = False
        self._stuck = False
        self._waking = False
        self._lanes = Lanes(runs, self._take, self._report, self._company)
        self._metrics = BatchMetrics(name, lambda: self.waiting)
        self._lanes.start()

    @property
    def waiting(self) -> int:
        """How many items no lane has taken yet."""
        return len(self._queue)

    async def submit(
        self, payloads: Sequence[Any], sizes: Sequence[int], *, owner: Hashable = None, within: float | None = None
    ) -> Outcome:
        """Run payloads, with whatever else waits, and return their results.

        Args:
            payloads: what the model is given, one for each row.
            sizes: the length of each, in the unit of the latency curve.
            owner: who takes turns with other owners.
            within: seconds in which the answer is wanted; the time that it needs beyond one batch is added.

        Raises:
            OverloadedError: the answer cannot be, or was not, ready in time; nothing of it runs any more.
            UnavailableError: the service is going down.
            RequestRefusedError: the model failed on this input.
            UpstreamError: the model runs elsewhere, and gave no answer for a reason of its own.
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
        if not self._waking:  # when the loop has taken its turn, so that what arrives in the same turn runs together
            self._waking = True
            self._loop.call_soon(self._wake)
        if within is not None:
            work.timer = self._loop.call_later(seconds, self._expire, work, seconds)
        try:
            return await work.future
        finally:
            work.stop()
            self._open.discard(work)
            if work.left:
                self._withdraw(work)
            # An error has this frame in its traceback: what is named here would hold the error that it holds.
            del work

    def admit(self, units: int, *, owner: Hashable, within: float) -> float:
        """Return the seconds that so many units, submitted now, would have: ask before making them is dear.

        Raises:
            OverloadedError: they could not be done in time.
            UnavailableError: the service is going down.
        """
        self._check_open()
        with self._ready:
            late = self._forecast.lateness(units, owner, self._queue, within=within, now=time.monotonic())
            if not late:
                # Twice, because others take turns with a large submission.
                return within + 2 * self._forecast.beyond_a_batch(units)
            self._forecast.learn_refusal()
        self._metrics.rejected("overloaded")
        raise overloaded(late)

    def ping(self) -> None:
        """Pass while work is taken and done.

        Raises:
            UnavailableError: the service is going down, or every lane is at a batch that does not end.
        """
        self._check_open()
        if self._stuck and not self._forecast.is_idle():
            raise UnavailableError("The model does not answer.")

    def _check_open(self) -> None:
        if self._draining:
            raise UnavailableError("The service is going down.")

    async def close(self, grace: float) -> None:
        """Refuse new work, finish what was taken within the grace period, fail the rest, end the lanes."""
        self._draining = True
        left = set(self._open)
        if left:
            log.info("batcher.draining", model=self._name, submissions=len(left), grace=grace)
            await asyncio.wait([work.future for work in left], timeout=grace)
        for work in left:
            work.fail(UnavailableError("The service went down before the model could answer."))
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
                items = self._queue.take(self._company.limit(), self._company.beside)
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
            self._tell(partial(self._drop, late))
        return [item for item in items if item.group.expires > now]

    def _report(self, ran: Ran) -> None:
        with self._ready:
            if not ran.more:
                self._forecast.ended(ran.lane)
            if ran.results is not None:
                self._forecast.learn(sum(item.size for item in ran.items), ran.ended - ran.started)
        self._tell(partial(self._settle, ran))

    def _tell(self, call: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(call)

    def _settle(self, ran: Ran) -> None:
        """Hand results to those who wait; on the event loop, while the lane is at its next batch."""
        now = time.monotonic()
        self._stuck = False
        with self._ready:
            self._forecast.learn_lag(now - ran.ended)
        self._metrics.ran(len(ran.items), ran.ended - ran.started, failed=ran.results is None)
        for at, item in enumerate(ran.items):
            work: Submission = item.group
            work.started = min(work.started, ran.started)
            if ran.results is None:
                work.fail(ran.failure())
                continue
            if work.put(item.index, ran.results[at], ran.ended):
                self._metrics.waited(work.started - work.submitted)
                self._learn_outcome(work, now)

    def _expire(self, work: Submission, seconds: float) -> None:
        """Fail what was not begun in time; what runs may finish in as long again."""
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
    """Start lanes; at the end let what is queued finish within the grace period."""
    batcher = Batcher(name, runs, curve, rows=rows)
    try:
        yield batcher
    finally:
        await batcher.close(grace)
