"""Tests of the fair queue, without threads."""

from hypothesis import given
from hypothesis import strategies as st

from app.inference.fair_queue import BatchLimit, FairQueue, Item

ARRIVALS = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 500)), min_size=1, max_size=60)


def limit(rows: int = 1000, units: int = 1_000_000, *, overhead: float = 0.0) -> BatchLimit:
    """Return the limit of a model that takes a second per unit and a fixed time per batch."""
    return BatchLimit(rows, units, lambda size: overhead + size)


def item(size: int, name: object = None) -> Item:
    return Item(name, size, name, 0)


def drain(queue: FairQueue, given: BatchLimit) -> list[list[Item]]:
    batches = []
    while batch := queue.take(given):
        batches.append(batch)
    return batches


@given(ARRIVALS, st.integers(1, 8), st.integers(1, 1000))
def test_everything_comes_out_once_within_the_limits(arrivals: list[tuple[str, int]], rows: int, units: int) -> None:
    queue = FairQueue()
    items = [item(size) for _, size in arrivals]
    for each, (owner, _) in zip(items, arrivals, strict=True):
        queue.add([each], owner)
    assert queue.units == sum(size for _, size in arrivals)
    batches = drain(queue, limit(rows, units))
    assert sorted(map(id, items)) == sorted(id(each) for batch in batches for each in batch)
    assert all(len(batch) <= rows for batch in batches)
    assert all(len(batch) * max(each.size for each in batch) <= units for batch in batches if len(batch) > 1)
    assert (len(queue), queue.units) == (0, 0)


@given(ARRIVALS, ARRIVALS)
def test_no_owner_gets_more_than_its_share_and_one_item_while_another_waits(
    first: list[tuple[str, int]], second: list[tuple[str, int]]
) -> None:
    queue = FairQueue()
    for owner, size in first + second:
        queue.add([item(size, owner)], owner)
    served = dict.fromkeys("abc", 0)
    largest = max(size for _, size in first + second)
    waiting = {owner: sum(1 for each, _ in first + second if each == owner) for owner in "abc"}
    for [each] in drain(queue, limit(rows=1)):
        served[each.group] += each.size
        waiting[each.group] -= 1
        behind = [served[owner] for owner in "abc" if waiting[owner]]
        assert all(served[each.group] - other <= 2 * largest for other in behind)


def test_the_first_in_turn_is_always_taken_with_its_nearest_lengths() -> None:
    queue = FairQueue()
    for size in (100, 9, 98, 500, 101, 10):
        queue.add([item(size)], None)
    assert [sorted(each.size for each in batch) for batch in drain(queue, limit(units=303))] == [
        [98, 100, 101],
        [9, 10],
        [500],
    ]


def test_padding_that_costs_more_than_a_batch_of_its_own_is_avoided() -> None:
    for overhead, batches in ((1.0, 2), (1000.0, 1)):
        queue = FairQueue()
        queue.add([item(10), item(200)], None)
        assert len(drain(queue, limit(overhead=overhead))) == batches


def test_what_is_discarded_does_not_come_out() -> None:
    queue = FairQueue()
    queue.add([item(3, "gone"), item(4, "stays"), item(5, "gone")], None)
    assert queue.discard("gone") == 2
    assert queue.units == 4
    assert [each.group for each in queue.take(limit())] == ["stays"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.integers(1, 500), min_size=1), st.booleans())))
def test_what_is_discarded_before_it_came_out_is_as_if_it_had_never_come(
    arrivals: list[tuple[str, list[int], bool]],
) -> None:
    queue, without = FairQueue(), FairQueue()
    pairs: list[tuple[Item, Item]] = []
    gone: list[object] = []
    for owner, sizes, stays in arrivals:
        group = object()
        mine = [item(size, group) for size in sizes]
        queue.add(mine, owner)
        if stays:
            theirs = [item(size) for size in sizes]
            without.add(theirs, owner)
            pairs += zip(mine, theirs, strict=True)
        else:
            gone.append(group)
    for group in gone:
        queue.discard(group)
    assert [mine.turn for mine, _ in pairs] == [theirs.turn for _, theirs in pairs]
    assert [queue.next_turn(owner) for owner in "abc"] == [without.next_turn(owner) for owner in "abc"]


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.integers(1, 500)), st.integers(0, 3), st.integers(0, 9)))


@given(STEPS)
def test_an_owner_owes_no_more_than_what_came_out_last_and_what_waits(
    steps: list[tuple[str, list[int], int, int]],
) -> None:
    queue = FairQueue()
    waiting: dict[str, list[Item]] = {}
    largest = 0
    left: list[Item] = []
    for number, (owner, sizes, taken, gone) in enumerate(steps):
        group = f"{owner}{number}"
        waiting[group] = [item(size, group) for size in sizes]
        largest = max(largest, *sizes, 0)
        queue.add(waiting[group], owner)
        came = [each for _ in range(taken) for each in queue.take(limit(rows=1))]
        for each in came:
            waiting[each.group].remove(each)
        for late in list(waiting)[gone:]:
            assert queue.discard(late) == len(waiting.pop(late))
        left = [each for items in waiting.values() for each in items]
        assert (len(queue), queue.units) == (len(left), sum(each.size for each in left))
        now = queue.next_turn("somebody new")
        for name in "abc":
            mine = sum(each.size for each in left if each.owner == name)
            assert now <= queue.next_turn(name) <= now + mine + largest
    assert sorted(map(id, left)) == sorted(id(each) for [each] in drain(queue, limit(rows=1)))


def test_one_who_gives_up_a_flood_has_a_turn_as_soon_as_others() -> None:
    queue = FairQueue()
    queue.add([item(1, "other") for _ in range(100)], "other")
    queue.add([item(1, "flood") for _ in range(2000)], "flood")
    queue.discard("flood")
    queue.add([item(1, "modest")], "flood")
    assert "modest" in [each.group for _ in range(2) for each in queue.take(limit(rows=1))]


def test_units_after_counts_the_work_behind_an_owners_next_turn() -> None:
    queue = FairQueue()
    queue.add([item(10) for _ in range(10)], "flood")
    assert queue.units_after(queue.next_turn("flood")) == 0
    assert queue.units_after(queue.next_turn("modest")) == 90
