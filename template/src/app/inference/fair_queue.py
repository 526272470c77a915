"""Queue of a model: fair between owners, with batches of items of similar length."""

from bisect import bisect_right, insort
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

# A batch is chosen from the first items of the queue, this many times its maximum rows: enough to find similar lengths,
# few enough to scan while a lane waits.
WINDOW = 4
# Padding may cost this factor of running an item alone: a separate batch has overhead, and measured times are inexact.
ALLOWANCE = 1.1

_turn = attrgetter("turn")


@dataclass(slots=True, eq=False)
class Item:
    """One queued row.

    Attributes:
        payload: the model's input.
        size: its length in the model's unit, such as tokens; 1 if all rows are of equal size.
        group: the submission that it belongs to.
        index: its position in the submission.
        turn: its position in the queue; set when it is added.
        owner: key for fair scheduling; set when it is added.
    """

    payload: Any
    size: int
    group: Any
    index: int
    turn: float = 0.0
    owner: Hashable = None


@dataclass(frozen=True, slots=True)
class BatchLimit:
    """Limits of a batch.

    Attributes:
        rows: the most items.
        units: the most units, padding included (rows times the longest row). A single item may exceed it.
        seconds: returns the seconds that a batch of so many units takes.
    """

    rows: int
    units: int
    seconds: Callable[[int], float]

    def joins(self, size: int, rows: int, longest: int) -> bool:
        """Return whether an item fits a batch of `rows` and costs no more there, with padding, than on its own."""
        width = max(size, longest)
        together = (rows + 1) * width
        if rows >= self.rows or together > self.units:
            return False
        return size == longest or self.seconds(together) - self.seconds(rows * longest) <= ALLOWANCE * self.seconds(
            size
        )


Compatible = Callable[[Item, Sequence[Item]], Sequence[Item]]
"""Returns the items that may share a batch with the first item, regardless of size."""


def all_compatible(_leader: Item, others: Sequence[Item]) -> Sequence[Item]:
    """Let all items share a batch."""
    return others


class FairQueue:
    """A queue in which no owner has to wait for everything that another owner has queued.

    Start-time fair queueing: an item's turn is its start in virtual time, which is measured in units of work: the
    later of the current time and the end of its owner's previous item. Items of one owner stay in order.

    Attributes:
        units: units of all queued items.
    """

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._now = 0.0
        self._ends: dict[Hashable, float] = {}
        self.units = 0

    def __len__(self) -> int:
        return len(self._items)

    def next_turn(self, owner: Hashable) -> float:
        """Return the turn that the owner's next item would get."""
        return max(self._now, self._ends.get(owner, 0.0))

    def units_after(self, turn: float) -> int:
        """Return the units that are queued behind an item with this turn."""
        return sum(item.size for item in self._items[bisect_right(self._items, turn, key=_turn) :])

    def add(self, items: Iterable[Item], owner: Hashable) -> None:
        """Add items of one owner, in order."""
        turn = self.next_turn(owner)
        for item in items:
            item.turn, item.owner = turn, owner
            turn += item.size
            self.units += item.size
            insort(self._items, item, key=_turn)
        self._ends[owner] = turn

    def take(self, limit: BatchLimit, compatible: Compatible = all_compatible) -> list[Item]:
        """Remove and return the next item with those of the most similar lengths that may join; may be empty."""
        if not self._items:
            return []
        window = self._items[: WINDOW * limit.rows]
        leader = window[0]
        longest = leader.size
        batch = [leader]
        # A stable sort: items of equal distance stay in turn.
        for item in sorted(compatible(leader, window[1:]), key=lambda item: abs(item.size - leader.size)):
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
        """Remove a group's queued items and return their number; the group has one owner.

        The owner is not charged for them: its later items move up.
        """
        dropped = [item for item in self._items if item.group is group]
        if dropped:
            self._move_up(dropped[0].owner, group)
            self._items = sorted((item for item in self._items if item.group is not group), key=_turn)
            self.units -= sum(item.size for item in dropped)
            self._forget()
        return len(dropped)

    def _move_up(self, owner: Hashable, gone: object) -> None:
        """Recompute the turns of an owner's queued and future items as if the group `gone` had not been added."""
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
