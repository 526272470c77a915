"""Predicting when a model's lanes will be free, from what was measured and how it has gone since."""

from collections.abc import Hashable

from app.inference.fair_queue import FairQueue
from app.inference.latency_curve import LatencyCurve

# Weight of the newest batch in what is believed about how much slower than measured things are.
NEWEST = 0.1
WORST = 100.0
# Waits may be longer than predicted; who is refused at once loses less than who is dropped after waiting. So predicted
# waits are reckoned with at least this much longer, and by as much as it takes for no more than this share of what was
# admitted to come too late (Robbins and Monro, 1951: a step up for what does, a small one down for what does not).
CAUTION = 1.25
MOST_CAUTION = 3.0
TOO_LATE = 0.005
STEP = 0.1
# Where there is more to do than can be done, a long queue brings no more answers, only later ones: if more than about
# one in twenty is refused, waits are reckoned with so much longer that the queue is half as long.
REFUSAL_STEP = 0.01
OVERLOADED_CAUTION = 2.5


class Forecast:
    """Says how long work will take. Not thread-safe: asked and told under its owner's lock.

    Attributes:
        curve: what was measured at start-up.
        drift: seconds that batches take now for each second of the curve: padding, other load, a hot machine.
        caution: how many times the predicted wait is reckoned with.
        lag: seconds from the end of a batch until the event loop hands its results over; requests wait for that loop
            before they are seen here, too.
    """

    def __init__(self, curve: LatencyCurve) -> None:
        self.curve = curve
        self.drift = 1.0
        self.caution = CAUTION
        self.lag = 0.0
        self._ends: dict[int, float] = {}

    def began(self, lane: int, units: int, now: float) -> None:
        """Note that a lane is at work."""
        self._ends[lane] = now + self.drift * self.curve(units)

    def ended(self, lane: int) -> None:
        """Note that a lane is free."""
        self._ends.pop(lane, None)

    def learn(self, units: int, seconds: float) -> None:
        """Take in how long so many units, padding not counted, have really taken."""
        ratio = min(seconds / self.curve(units), WORST)
        self.drift += NEWEST * (ratio - self.drift)

    def learn_lag(self, seconds: float) -> None:
        """Take in how long the event loop let results wait."""
        self.lag += NEWEST * (seconds - self.lag)

    def learn_outcome(self, *, in_time: bool) -> None:
        """Take in whether what was admitted was there in time."""
        step = -STEP * TOO_LATE if in_time else STEP * (1 - TOO_LATE)
        self.caution = min(max(self.caution + step, CAUTION), MOST_CAUTION)

    def learn_refusal(self) -> None:
        """Take in that there was more to do than could be done in time."""
        self.caution = max(self.caution, min(self.caution + REFUSAL_STEP, OVERLOADED_CAUTION))

    def is_idle(self) -> bool:
        """Tell whether a lane is free."""
        return len(self._ends) < self.curve.lanes

    def running(self, now: float) -> float:
        """Return the mean seconds until a lane is free; 0 if one is."""
        if self.is_idle():
            return 0.0
        # A batch that is late may well take as long again.
        return sum(abs(end - now) for end in self._ends.values()) / self.curve.lanes

    def backlog(self, units: int) -> float:
        """Return the seconds for queued work in full batches on all lanes."""
        return self.drift * self.curve.backlog(units)

    def wait(self, units: int, now: float) -> float:
        """Return the seconds, on the safe side, until a lane is free and queued work is done."""
        return self.caution * (self.running(now) + self.backlog(units))

    def lateness(self, units: int, owner: Hashable, queue: FairQueue, *, within: float, now: float) -> float:
        """Return by how many seconds an owner's work would come too late; 0 if it may well be in time."""
        own = self.batch(units) + 2 * self.lag
        wait = self.wait(queue.units, now)
        if wait + own > within:  # only then is it worth counting what goes first
            wait = self.wait(queue.units - queue.units_after(queue.next_turn(owner)), now)
        # What is believed of an idle model cannot be put right by refusing it work.
        if not queue and self.is_idle():
            return 0.0
        return max(0.0, wait + own - within)

    def batch(self, units: int) -> float:
        """Return the seconds for work by itself, or for its last batch if it takes several."""
        return self.drift * self.curve(min(units, self.curve.limit))

    def beyond_a_batch(self, units: int) -> float:
        """Return the seconds that work takes for itself beyond one batch."""
        return max(0.0, self.backlog(units - self.curve.limit))
