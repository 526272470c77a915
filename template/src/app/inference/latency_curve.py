"""How long a model takes for how much: measured at start-up, made monotone, asked for every decision."""

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

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
        units: sizes that were measured, ascending.
        seconds: what each took.
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


def measure_curve(probes: Sequence[Probe], sizes: Sequence[int], *, seconds: float) -> LatencyCurve:
    """Run growing batches on all lanes at once until they no longer pay, or the time is up.

    Args:
        probes: one for each lane.
        sizes: units to try, ascending.
        seconds: time to take at most; at least one size is measured.
    """
    until = time.perf_counter() + seconds
    measured: list[tuple[int, float]] = []
    with ThreadPoolExecutor(len(probes)) as pool:
        for size in sizes:
            # The best of several, as whatever else runs can only add.
            taken = min(_time(pool, probes, size, REPEATS))
            if measured and taken > SUSPICIOUS * measured[-1][1]:
                taken = min(taken, *_time(pool, probes, size, REPEATS))
            measured.append((size, taken))
            if time.perf_counter() + 2 * REPEATS * taken > until or _is_level(measured):
                break
    return LatencyCurve.fit(measured, lanes=len(probes))


def time_batches(probes: Sequence[Probe], size: int, repeats: int) -> list[float]:
    """Run batches of one size on all lanes at once, so many times, and return the seconds of each."""
    with ThreadPoolExecutor(len(probes)) as pool:
        return _time(pool, probes, size, repeats)


def _time(pool: ThreadPoolExecutor, probes: Sequence[Probe], size: int, repeats: int) -> list[float]:
    taken = []
    for _ in range(1 + repeats):
        started = time.perf_counter()
        list(pool.map(lambda probe: probe(size), probes))
        taken.append(time.perf_counter() - started)
    return taken[1:]  # the first of a shape allocates


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
