"""Rules for batches after failures: isolate owners of failing input, shrink batches when memory runs out."""

import time
from collections.abc import Hashable, Sequence
from dataclasses import replace
from threading import Lock

from app.inference.fair_queue import BatchLimit, Item

# Owners whose input has failed on its own are isolated for this long; at most this many are remembered.
ISOLATION_SECONDS = 10.0
MAX_ISOLATED = 256
# After this long without running out of memory, the batch limit is doubled again.
MEMORY_SECONDS = 60.0


class BatchPolicy:
    """Decides which items may share a batch, and how large batches may be. Thread-safe: lanes share it.

    Args:
        limit: the batch limit while nothing fails.
    """

    def __init__(self, limit: BatchLimit) -> None:
        self._most = limit
        self._limit = limit
        self._lowered = 0.0
        self._lock = Lock()
        self._isolated: dict[Hashable, float] = {}

    def limit(self) -> BatchLimit:
        """Return the limit of the next batch."""
        with self._lock:
            if self._limit.units < self._most.units and time.monotonic() - self._lowered > MEMORY_SECONDS:
                self._limit_to(2 * self._limit.units)
            return self._limit

    def shrink(self, items: Sequence[Item]) -> None:
        """Lower the limit after items that ran out of memory as one batch, but not one by one."""
        with self._lock:
            self._limit_to(min(self._limit.units, len(items) * max(item.size for item in items) // 2))

    def isolate(self, owner: Hashable) -> None:
        """Isolate an owner whose input failed on its own."""
        with self._lock:
            self._isolated.pop(owner, None)
            self._isolated[owner] = time.monotonic() + ISOLATION_SECONDS
            if len(self._isolated) > MAX_ISOLATED:
                del self._isolated[next(iter(self._isolated))]

    def compatible(self, leader: Item, others: Sequence[Item]) -> Sequence[Item]:
        """Return the items that may run with the leader: of the same owner if isolated, else of any not isolated."""
        with self._lock:
            now = time.monotonic()
            while self._isolated and next(iter(self._isolated.values())) <= now:
                del self._isolated[next(iter(self._isolated))]
            if not self._isolated:
                return others
            if leader.owner in self._isolated:
                return [item for item in others if item.owner == leader.owner]
            return [item for item in others if item.owner not in self._isolated]

    def _limit_to(self, units: int) -> None:
        self._limit = replace(self._most, units=max(1, min(units, self._most.units)))
        self._lowered = time.monotonic()
