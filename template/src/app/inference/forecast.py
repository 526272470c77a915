"""Prediction of waiting times from the measured latency and from recent batches."""

from collections.abc import Hashable

from app.inference.fair_queue import FairQueue
from app.inference.latency_curve import LatencyCurve

# Weight of the newest batch in the moving averages, and the cap on how much slower than measured a batch counts.
NEWEST = 0.1
WORST = 100.0
# An early rejection costs a caller less than being dropped after waiting. So predicted waits are multiplied by a factor
# between these two, adapted so that at most the fraction TOO_LATE of admitted work is late (Robbins and Monro, 1951: a
# step up for late work, a small step down otherwise).
CAUTION = 1.25
MOST_CAUTION = 3.0
TOO_LATE = 0.005
STEP = 0.1
# Under overload a long queue does not increase throughput, only latency: if more than about one in twenty submissions
# is rejected, the factor rises to this value, which halves the queue.
REFUSAL_STEP = 0.01
OVERLOADED_CAUTION = 2.5


class Forecast:
    """Predicts waiting times. Not thread-safe: the batcher calls it under its lock.

    Attributes:
        curve: the latency measured at startup.
        drift: ratio of actual to measured batch times: padding, other load, thermal throttling.
        caution: safety factor for predicted waits.
        lag: seconds from the end of a batch until the event loop delivers its results; counted twice, because new
            requests wait for the event loop as well.
    """

    def __init__(self, curve: LatencyCurve) -> None:
        self.curve = curve
        self.drift = 1.0
        self.caution = CAUTION
        self.lag = 0.0
        self._ends: dict[int, float] = {}

    def began(self, lane: int, units: int, now: float) -> None:
        """Record that a lane has started a batch."""
        self._ends[lane] = now + self.drift * self.curve(units)

    def ended(self, lane: int) -> None:
        """Record that a lane is free."""
        self._ends.pop(lane, None)

    def learn(self, units: int, seconds: float) -> None:
        """Update `drift` with the actual seconds of a batch; `units` exclude padding."""
        ratio = min(seconds / self.curve(units), WORST)
        self.drift += NEWEST * (ratio - self.drift)

    def learn_lag(self, seconds: float) -> None:
        """Update `lag` with the seconds that results waited for the event loop."""
        self.lag += NEWEST * (seconds - self.lag)

    def learn_outcome(self, *, in_time: bool) -> None:
        """Update `caution` after an admitted submission was answered in time, or not."""
        step = -STEP * TOO_LATE if in_time else STEP * (1 - TOO_LATE)
        self.caution = min(max(self.caution + step, CAUTION), MOST_CAUTION)

    def learn_refusal(self) -> None:
        """Update `caution` after a submission was rejected."""
        self.caution = max(self.caution, min(self.caution + REFUSAL_STEP, OVERLOADED_CAUTION))

    def is_idle(self) -> bool:
        """Return whether a lane is free."""
        return len(self._ends) < self.curve.lanes

    def running(self, now: float) -> float:
        """Return the mean seconds until a lane is free; 0 if one is."""
        if self.is_idle():
            return 0.0
        # A batch that is overdue is assumed to need as long again as it is late.
        return sum(abs(end - now) for end in self._ends.values()) / self.curve.lanes

    def backlog(self, units: int) -> float:
        """Return the seconds for queued units in full batches on all lanes."""
        return self.drift * self.curve.backlog(units)

    def wait(self, units: int, now: float) -> float:
        """Return the seconds, multiplied by `caution`, until a lane is free and the queued units are done."""
        return self.caution * (self.running(now) + self.backlog(units))

    def lateness(self, units: int, owner: Hashable, queue: FairQueue, *, within: float, now: float) -> float:
        """Return by how many seconds an owner's work would miss its deadline; 0 if it is expected in time."""
        own = self.batch(units) + 2 * self.lag
        wait = self.wait(queue.units, now)
        if wait + own > within:  # late behind the whole queue: subtract what is queued behind this work
            wait = self.wait(queue.units - queue.units_after(queue.next_turn(owner)), now)
        # An idle model is never refused work: a wrong prediction is only corrected by running batches.
        if not queue and self.is_idle():
            return 0.0
        return max(0.0, wait + own - within)

    def batch(self, units: int) -> float:
        """Return the seconds for one batch of these units; at most for a batch at the limit."""
        return self.drift * self.curve(min(units, self.curve.limit))

    def beyond_a_batch(self, units: int) -> float:
        """Return the seconds for the units that exceed one batch at the limit."""
        return max(0.0, self.backlog(units - self.curve.limit))
