"""A model's latency by batch size, measured at startup and made monotonic."""

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import linear_regression

# The factor of throughput that a larger batch must gain to be worth its latency.
WORTH = 1.05
REPEATS = 4
# Overhead per batch besides the model: waking threads, delivering results.
BATCH_SECONDS = 0.0005
# Batches up to this time are always allowed, even if (noisy) measurements favour smaller ones.
SHORT_SECONDS = 0.01
# Twice the work should take at most about twice as long; a higher factor is likely other load and is measured again.
SUSPICIOUS = 2.2

Probe = Callable[[int], object]
"""Runs one batch of this many units on a lane; blocks."""


@dataclass(frozen=True, slots=True)
class LatencyCurve:
    """Seconds per batch as a non-decreasing function of its units (rows times the longest row).

    Attributes:
        units: measured and extrapolated batch sizes, ascending.
        seconds: the time of a batch of each size.
        lanes: number of batches that ran concurrently in the measurement.
        limit: batch size in units beyond which larger batches do not pay.
    """

    units: tuple[int, ...]
    seconds: tuple[float, ...]
    lanes: int
    limit: int

    @classmethod
    def fit(cls, measured: Sequence[tuple[int, float]], *, lanes: int = 1) -> "LatencyCurve":
        """Return the curve of measurements in ascending units; decreases are noise and are levelled (least squares)."""
        units = tuple(size for size, _ in measured)
        seconds = _never_falling([taken for _, taken in measured])
        return cls(units, seconds, lanes, _limit(units, seconds))

    @classmethod
    def assumed(cls, limit: int, seconds: float, *, lanes: int = 1) -> "LatencyCurve":
        """Return a curve without measuring: batches up to the limit take `seconds`, larger ones in proportion."""
        return cls((limit, 2 * limit), (seconds, 2 * seconds), lanes, limit)

    def __call__(self, units: int) -> float:
        """Return the seconds for a batch: interpolated linearly, beyond the last size in proportion to it."""
        at = bisect_left(self.units, units)
        if at == 0:
            return self.seconds[0]
        if at == len(self.units):
            return self.seconds[-1] * units / self.units[-1]
        low, high = self.units[at - 1], self.units[at]
        share = (units - low) / (high - low)
        return self.seconds[at - 1] + share * (self.seconds[at] - self.seconds[at - 1])

    def backlog(self, units: int) -> float:
        """Return the seconds for these units in batches at the limit on all lanes."""
        return units * self(self.limit) / (self.limit * self.lanes)

    @property
    def throughput(self) -> float:
        """Units per second with batches at the limit on all lanes."""
        return self.limit * self.lanes / self(self.limit)


def measure_curve(
    probes: Sequence[Probe], sizes: Sequence[int], *, seconds: float, longest: float = math.inf
) -> LatencyCurve:
    """Measure growing batches on all lanes concurrently until larger ones no longer pay, or time is up.

    When time is up, the remaining sizes are extrapolated.

    Args:
        probes: one per lane.
        sizes: batch sizes to try, in units, ascending.
        seconds: time to spend after a first run; two sizes are measured even if that takes
            longer, unless the first exceeds `longest`.
        longest: the most seconds that a batch may take; slower sizes are left out, except the first.
    """
    measured: list[tuple[int, float]] = []
    with ThreadPoolExecutor(len(probes)) as pool:
        # Exclude what a model loads, compiles or tunes on its first run.
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
            # The next size takes up to about twice as long and runs at least twice.
            if at > 1 and time.perf_counter() + 4 * taken > until:
                measured += _reckon(measured, sizes[at:])
                break
    short = [(size, taken) for size, taken in measured if taken <= longest]
    return LatencyCurve.fit(short or measured[:1], lanes=len(probes))


def time_batches(probes: Sequence[Probe], size: int, repeats: int) -> list[float]:
    """Run a batch of this size on all lanes concurrently, `repeats` times; return the seconds of each repeat."""
    with ThreadPoolExecutor(len(probes)) as pool:
        _run(pool, probes, size)  # the first run of a shape allocates memory
        return [_run(pool, probes, size) for _ in range(repeats)]


def _best(pool: ThreadPoolExecutor, probes: Sequence[Probe], size: int, patience: float) -> float:
    """Return the fastest time of several runs, because other load only adds time; slow batches run only twice.

    The first run of a shape allocates memory, so `patience` counts from the second run.
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
    """Yield extrapolated times from the last measurement on, with the slope of a linear regression."""
    last, seconds = measured[-1]
    rise = max(0.0, linear_regression(*zip(*measured, strict=True)).slope)
    for size in sizes:
        yield size, seconds + rise * (size - last)


def _is_level(measured: Sequence[tuple[int, float]]) -> bool:
    """Return whether the last two sizes gained too little throughput; a single one may be noise."""
    rates = [size / (taken + BATCH_SECONDS) for size, taken in measured]
    return len(rates) > 2 and max(rates[-2:]) < WORTH * rates[-3]  # noqa: PLR2004 - two steps have three ends


def _limit(units: Sequence[int], seconds: Sequence[float]) -> int:
    rates = [size / (taken + BATCH_SECONDS) for size, taken in zip(units, seconds, strict=True)]
    enough = max(rates) / WORTH
    short = [size for size, taken in zip(units, seconds, strict=True) if taken <= SHORT_SECONDS]
    return max(next(size for size, rate in zip(units, rates, strict=True) if rate >= enough), *short, 1)


def _never_falling(values: Sequence[float]) -> tuple[float, ...]:
    """Return the closest non-decreasing sequence by least squares (pool adjacent violators)."""
    blocks: list[tuple[float, int]] = []
    for value in values:
        blocks.append((value, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (last, last_count), (before, count) = blocks.pop(), blocks.pop()
            total = count + last_count
            blocks.append(((before * count + last * last_count) / total, total))
    return tuple(value for value, count in blocks for _ in range(count))
