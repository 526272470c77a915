"""Quotas of a sliding minute.

Amounts are counted for the minutes of the clock. A sliding minute covers what has passed of the current one, and the
rest of the one before, of which that share is taken to be spread evenly: two numbers for each quota, however many
requests there are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

WINDOW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Quota:
    """So many of something in any minute."""

    name: str
    limit: int


@dataclass(frozen=True, slots=True)
class Charge:
    """What a request takes of a quota."""

    quota: Quota
    amount: int


@dataclass(frozen=True, slots=True)
class Level:
    """How far a quota is used up.

    Attributes:
        current: the amount in this minute of the clock.
        previous: the amount in the one before.
        elapsed: which part of this minute has passed, from 0 to 1.
    """

    quota: Quota
    current: int
    previous: int
    elapsed: float
    window_seconds: float = WINDOW_SECONDS

    @property
    def used(self) -> float:
        """What counts of both minutes."""
        return self.current + self.previous * (1 - self.elapsed)

    @property
    def remaining(self) -> int:
        """What is free."""
        return max(0, math.floor(self.quota.limit - self.used))

    @property
    def seconds_until_reset(self) -> float:
        """Time until all of it is free again, if nothing more is taken."""
        minutes = 2 if self.current else 1 if self.previous else self.elapsed
        return (minutes - self.elapsed) * self.window_seconds

    def seconds_until(self, amount: int) -> float:
        """Time until so much, at most the whole quota, is free."""
        room = self.quota.limit - amount
        if self.used <= room:
            return 0
        if self.current <= room:
            return (1 - (room - self.current) / self.previous - self.elapsed) * self.window_seconds
        return (2 - room / self.current - self.elapsed) * self.window_seconds


@dataclass(frozen=True, slots=True)
class Taken:
    """Whether charges were taken, all of them or none.

    Attributes:
        window: the number of the minute in which they were.
        levels: one for each charge, in their order, afterwards.
        alone: whether this process counted for itself.
    """

    allowed: bool
    window: int
    levels: Sequence[Level]
    alone: bool
