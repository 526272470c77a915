"""Which work runs together, after what has failed."""

import time
from collections.abc import Hashable, Sequence
from dataclasses import replace
from threading import Lock

from app.inference.fair_queue import BatchLimit, Item

# Owners whose input has failed by itself run apart for so long, and so many of them are remembered.
APART_SECONDS = 10.0
MOST_APART = 256
# After so long without another failure for want of memory, batches may be twice as large again.
MEMORY_SECONDS = 60.0


class Company:
    """Keeps those apart whose input fails, and batches as small as memory wants. Lanes share it.

    Args:
        limit: of a batch while nothing fails.
    """

    def __init__(self, limit: BatchLimit) -> None:
        self._most = limit
        self._limit = limit
        self._lowered = 0.0
        self._lock = Lock()
        self._apart: dict[Hashable, float] = {}

    def limit(self) -> BatchLimit:
        """Return the limit of the next batch."""
        with self._lock:
            if self._limit.units < self._most.units and time.monotonic() - self._lowered > MEMORY_SECONDS:
                self._limit_to(2 * self._limit.units)
            return self._limit

    def shrink(self, items: Sequence[Item]) -> None:
        """Take in that there was no memory for these together, though there was for each."""
        with self._lock:
            self._limit_to(min(self._limit.units, len(items) * max(item.size for item in items) // 2))

    def keep_apart(self, owner: Hashable) -> None:
        """Take in that an owner's input failed by itself."""
        with self._lock:
            self._apart.pop(owner, None)
            self._apart[owner] = time.monotonic() + APART_SECONDS
            if len(self._apart) > MOST_APART:
                del self._apart[next(iter(self._apart))]

    def beside(self, leader: Item, others: Sequence[Item]) -> Sequence[Item]:
        """Return those that may run with an item: of its owner, or of any while neither owner is kept apart."""
        with self._lock:
            now = time.monotonic()
            while self._apart and next(iter(self._apart.values())) <= now:
                del self._apart[next(iter(self._apart))]
            if not self._apart:
                return others
            if leader.owner in self._apart:
                return [item for item in others if item.owner == leader.owner]
            return [item for item in others if item.owner not in self._apart]

    def _limit_to(self, units: int) -> None:
        self._limit = replace(self._most, units=max(1, min(units, self._most.units)))
        self._lowered = time.monotonic()
