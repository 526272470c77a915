"""Work that waits for a model: in turn between owners, handed out in batches of like length."""

from bisect import bisect_right, insort
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

# A batch is put together from the first items of the queue, this many times as many as it may have rows: enough to
# find like lengths, few enough to look through while lanes wait.
WINDOW = 4
# A batch costs more than its model's time, and measured times are not exact: so much padding is cheaper than a batch.
ALLOWANCE = 1.1

_turn = attrgetter("turn")


@dataclass(slots=True, eq=False)
class Item:
    """One row of a batch to come.

    Attributes:
        payload: what the model is given.
        size: its length in the model's unit, such as tokens; 1 where all rows are alike.
        group: whoever submitted it.
        index: its place among what was submitted together.
        turn: its place in the queue; set when it is added.
        owner: whose turn that is; set when it is added.
    """

    payload: Any
    size: int
    group: Any
    index: int
    turn: float = 0.0
    owner: Hashable = None


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """How much may run at once.

    Attributes:
        rows: items of a batch.
        units: rows times the longest of them, which is what the model computes. One item may always run.
        seconds: what running so many units takes.
    """

    rows: int
    units: int
    seconds: Callable[[int], float]

    def joins(self, size: int, rows: int, longest: int) -> bool:
        """Tell whether an item may join a batch of `rows`, and is no dearer there, padding counted, than by itself."""
        width = max(size, longest)
        together = (rows + 1) * width
        if rows >= self.rows or together > self.units:
            return False
        return size == longest or self.seconds(together) - self.seconds(rows * longest) <= ALLOWANCE * self.seconds(
            size
        )


Beside = Callable[[Item, Sequence[Item]], Sequence[Item]]
"""Tells which of others may run with an item, whatever their sizes."""


def everybody(_leader: Item, others: Sequence[Item]) -> Sequence[Item]:
    """Let all run together."""
    return others


class FairQueue:
    """A queue in which an owner's turn comes by what that owner was given before, not by what others have queued.

    Start-time fair queueing: an item's turn is the later of now and the end of its owner's earlier items, where time
    is work handed out. Of one owner's items, the first to come is the first to go.
    """

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._now = 0.0
        self._ends: dict[Hashable, float] = {}
        self.units = 0

    def __len__(self) -> int:
        return len(self._items)

    def next_turn(self, owner: Hashable) -> float:
        """Return the turn that the owner's next item would have."""
        return max(self._now, self._ends.get(owner, 0.0))

    def units_after(self, turn: float) -> int:
        """Count the units that an item of this turn, added now, would go before."""
        return sum(item.size for item in self._items[bisect_right(self._items, turn, key=_turn) :])

    def add(self, items: Iterable[Item], owner: Hashable) -> None:
        """Queue items of one owner in their order."""
        turn = self.next_turn(owner)
        for item in items:
            item.turn, item.owner = turn, owner
            turn += item.size
            self.units += item.size
            insort(self._items, item, key=_turn)
        self._ends[owner] = turn

    def take(self, limit: BatchLimit, beside: Beside = everybody) -> list[Item]:
        """Take the item whose turn it is, and those of the nearest lengths that may join it; empty if none waits."""
        if not self._items:
            return []
        window = self._items[: WINDOW * limit.rows]
        leader = window[0]
        longest = leader.size
        batch = [leader]
        # A stable sort: among the equally near, turns decide.
        for item in sorted(beside(leader, window[1:]), key=lambda item: abs(item.size - leader.size)):
            if limit.joins(item.size, len(batch), longest):
                batch.append(item)
                longest = max(longest, item.size)
            elif len(batch) >= limit.rows:
                break
        self._remove(batch, window)
        self._now = leader.turn
        self._forget()
        return batch

    def discard(self, group: object) -> int:
        """Drop what a group, which has one owner, still has in the queue, and tell how many items that were.

        To its owner it was not given: what the owner has queued after it moves up.
        """
        dropped = [item for item in self._items if item.group is group]
        if dropped:
            self._move_up(dropped[0].owner, group)
            self._items = sorted((item for item in self._items if item.group is not group), key=_turn)
            self.units -= sum(item.size for item in dropped)
            self._forget()
        return len(dropped)

    def _move_up(self, owner: Hashable, gone: object) -> None:
        """Give an owner's items, and what comes after them, the turns that they have without a group."""
        end, saved = self._now, 0
        for item in self._items:
            if item.group is gone:
                saved += item.size
            elif item.owner == owner:
                item.turn = max(item.turn - saved, end)
                end = item.turn + item.size
        self._ends[owner] = max(self._ends[owner] - saved, end)

    def _remove(self, batch: list[Item], window: list[Item]) -> None:
        self.units -= sum(item.size for item in batch)
        taken = set(map(id, batch))
        self._items[: len(window)] = [item for item in window if id(item) not in taken]

    def _forget(self) -> None:
        if not self._items:
            self._now = 0.0
            self._ends.clear()
        elif len(self._ends) > len(self._items) + 64:
            self._ends = {owner: end for owner, end in self._ends.items() if end > self._now}
