"""Sliding-window quotas per minute.

Amounts are counted per clock minute. The sliding window is the elapsed part of the current minute and the rest of the
previous one, whose amount is assumed to be spread evenly. This takes two numbers per quota, for any number of requests.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Quota:
    """A limit per minute, for example of requests or tokens."""

    name: str
    limit: int


@dataclass(frozen=True, slots=True)
class Charge:
    """The amount that a request takes from a quota."""

    quota: Quota
    amount: int


@dataclass(frozen=True, slots=True)
class Level:
    """The use of a quota.

    Attributes:
        current: the amount in the current clock minute.
        previous: the amount in the previous one.
        elapsed: the fraction of the current minute that has passed, 0 to 1.
    """

    quota: Quota
    current: int
    previous: int
    elapsed: float
    window_seconds: float = WINDOW_SECONDS

    @property
    def used(self) -> float:
        """The amount in the sliding window."""
        return self.current + self.previous * (1 - self.elapsed)

    @property
    def remaining(self) -> int:
        """The amount that is left, at least 0."""
        return max(0, math.floor(self.quota.limit - self.used))

    @property
    def seconds_until_reset(self) -> float:
        """Seconds until the full quota is available again, if nothing more is taken."""
        minutes = 2 if self.current else 1 if self.previous else self.elapsed
        return (minutes - self.elapsed) * self.window_seconds

    def seconds_until(self, amount: int) -> float:
        """Return the seconds until this amount, at most the full quota, is available."""
        room = self.quota.limit - amount
        if self.used <= room:
            return 0
        if self.current <= room:
            return (1 - (room - self.current) / self.previous - self.elapsed) * self.window_seconds
        return (2 - room / self.current - self.elapsed) * self.window_seconds


@dataclass(frozen=True, slots=True)
class QuotaDecision:
    """The result of taking charges, all of them or none.

    Attributes:
        allowed: whether they were taken.
        window: the number of the clock minute in which they were taken.
        levels: the levels afterwards, one per charge, in the same order.
        alone: whether this process counted locally, not together with others.
    """

    allowed: bool
    window: int
    levels: Sequence[Level]
    alone: bool
