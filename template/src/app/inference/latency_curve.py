"""How long a model takes for how much: measured at start-up, made monotone, asked for every decision."""

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import linear_regression

# A larger batch must give this much more throughput to be worth the wait of those in it.
WORTH = 1.05
REPEATS = 4
# What a batch costs beside its model: threads that wake each other, answers that are handed over.
BATCH_SECONDS = 0.0005
# Nobody minds a batch that is shorter: it may be as large, whatever a noisy measurement says of smaller ones.
SHORT_SECONDS = 0.01
# Twice the work should take at most about twice as long; more is likely somebody else's, and is measured again.
SUSPICIOUS = 2.2

Probe = Callable[[int], object]
"""Runs one batch of so many units on a lane; blocks."""


@dataclass(frozen=True, slots=True)
class LatencyCurve:
    """Seconds that a batch takes by its units (rows times the longest row), never falling.

    Attributes:
        units: sizes that were measured, or reckoned from these, ascending.
        seconds: what each takes.
        lanes: how many such batches ran at the same time.
        limit: the units beyond which larger batches do not pay.
    """

    units: tuple[int, ...]
    seconds: tuple[float, ...]
    lanes: int
    limit: int

    @classmethod
    def fit(cls, measured: Sequence[tuple[int, float]], *, lanes: int = 1) -> "LatencyCurve":
        """Make a curve of measurements, ascending by units; what noise made fall is levelled (least squares)."""
        units = tuple(size for size, _ in measured)
        seconds = _never_falling([taken for _, taken in measured])
        return cls(units, seconds, lanes, _limit(units, seconds))

    @classmethod
    def assumed(cls, limit: int, seconds: float, *, lanes: int = 1) -> "LatencyCurve":
        """Stand in for a measurement: batches up to the limit take so long, larger ones in proportion."""
        return cls((limit, 2 * limit), (seconds, 2 * seconds), lanes, limit)

    def __call__(self, units: int) -> float:
        """Return the seconds for a batch: between measurements on a straight line, beyond them on the last one."""
        at = bisect_left(self.units, units)
        if at == 0:
            return self.seconds[0]
        if at == len(self.units):
            return self.seconds[-1] * units / self.units[-1]
        low, high = self.units[at - 1], self.units[at]
        share = (units - low) / (high - low)
        return self.seconds[at - 1] + share * (self.seconds[at] - self.seconds[at - 1])

    def backlog(self, units: int) -> float:
        """Return the seconds until that much is done in batches at the limit, all lanes working."""
        return units * self(self.limit) / (self.limit * self.lanes)

    @property
    def throughput(self) -> float:
        """Units per second with batches at the limit on all lanes."""
        return self.limit * self.lanes / self(self.limit)


def measure_curve(
    probes: Sequence[Probe], sizes: Sequence[int], *, seconds: float, longest: float = math.inf
) -> LatencyCurve:
    """Run growing batches on all lanes at once until they no longer pay, or the time is up.

    When the time is up, larger batches are reckoned from those that ran: it says nothing of what pays.

    Args:
        probes: one for each lane.
        sizes: units to try, ascending.
        seconds: time to take after a first run; two sizes are measured, however slow.
        longest: seconds that a batch may take; larger ones are left out, except the first.
    """
    measured: list[tuple[int, float]] = []
    with ThreadPoolExecutor(len(probes)) as pool:
        # What a model loads, compiles or tunes when it first runs is not the time of a batch.
        _run(pool, probes, sizes[0])
        until = time.perf_counter() + seconds
        patience = seconds / (2 * len(sizes))
        for at, size in enumerate(sizes, 1):
            taken = _best(pool, probes, size, patience)
            if measured and taken > SUSPICIOUS * measured[-1][1]:
                taken = min(taken, _best(pool, probes, size, patience))
            measured.append((size, taken))
            if taken > longest or _is_level(measured):
                break
            # The next takes at most about twice as long, and runs twice at least.
            if at > 1 and time.perf_counter() + 4 * taken > until:
                measured += _reckon(measured, sizes[at:])
                break
    short = [(size, taken) for size, taken in measured if taken <= longest]
    return LatencyCurve.fit(short or measured[:1], lanes=len(probes))


def time_batches(probes: Sequence[Probe], size: int, repeats: int) -> list[float]:
    """Run batches of one size on all lanes at once, so many times, and return the seconds of each."""
    with ThreadPoolExecutor(len(probes)) as pool:
        _run(pool, probes, size)  # the first of a shape allocates
        return [_run(pool, probes, size) for _ in range(repeats)]


def _best(pool: ThreadPoolExecutor, probes: Sequence[Probe], size: int, patience: float) -> float:
    """Return the seconds of the fastest of several batches, as whatever else runs can only add; of slow ones, of two.

    The first of a shape allocates: patience begins after it.
    """
    best, repeated = _run(pool, probes, size), 0.0
    for _ in range(REPEATS):
        taken = _run(pool, probes, size)
        best, repeated = min(best, taken), repeated + taken
        if repeated > patience:
            break
    return best


def _run(pool: ThreadPoolExecutor, probes: Sequence[Probe], size: int) -> float:
    started = time.perf_counter()
    list(pool.map(lambda probe: probe(size), probes))
    return time.perf_counter() - started


def _reckon(measured: Sequence[tuple[int, float]], sizes: Sequence[int]) -> Iterator[tuple[int, float]]:
    """Go on from the last measurement as the straight line that is nearest to all of them rises."""
    last, seconds = measured[-1]
    rise = max(0.0, linear_regression(*zip(*measured, strict=True)).slope)
    for size in sizes:
        yield size, seconds + rise * (size - last)


def _is_level(measured: Sequence[tuple[int, float]]) -> bool:
    """Tell whether the last two steps brought too little; one alone may be noise."""
    rates = [size / (taken + BATCH_SECONDS) for size, taken in measured]
    return len(rates) > 2 and max(rates[-2:]) < WORTH * rates[-3]  # noqa: PLR2004 - two steps have three ends


def _limit(units: Sequence[int], seconds: Sequence[float]) -> int:
    rates = [size / (taken + BATCH_SECONDS) for size, taken in zip(units, seconds, strict=True)]
    enough = max(rates) / WORTH
    short = [size for size, taken in zip(units, seconds, strict=True) if taken <= SHORT_SECONDS]
    return max(next(size for size, rate in zip(units, rates, strict=True) if rate >= enough), *short, 1)


def _never_falling(values: Sequence[float]) -> tuple[float, ...]:
    """Pool adjacent violators: the nearest sequence, by least squares, that does not fall."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (last, last_count), (before, count) = blocks.pop(), blocks.pop()
            total = count + last_count
            blocks.append(((before * count + last * last_count) / total, total))
    return tuple(value for value, count in blocks for _ in range(count))
