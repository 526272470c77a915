"""Which work runs together after something has failed."""

from app.inference.company import MOST_APART, Company
from app.inference.fair_queue import BatchLimit, Item


def item(owner: object, size: int = 1) -> Item:
    return Item(None, size, object(), 0, owner=owner)


def company() -> Company:
    return Company(BatchLimit(100, 1000, float))


def test_all_run_together_until_something_fails() -> None:
    others = [item("b"), item("c")]
    assert company().beside(item("a"), others) == others


def test_an_owner_whose_input_failed_runs_with_nobody_else() -> None:
    known = company()
    known.keep_apart("bad")
    good, bad = item("good"), item("bad")
    assert known.beside(item("good"), [good, bad]) == [good]
    assert known.beside(item("bad"), [good, bad]) == [bad]


def test_no_more_owners_are_remembered_than_there_is_room_for() -> None:
    known = company()
    for owner in range(MOST_APART + 1):
        known.keep_apart(owner)
    everybody = [item(owner) for owner in range(MOST_APART + 1)]
    assert known.beside(item("good"), everybody) == everybody[:1]


def test_batches_are_half_as_large_as_what_had_no_memory() -> None:
    known = company()
    known.shrink([item("a", 40), item("b", 10)])
    assert known.limit().units == 40
    known.shrink([item("a", 400), item("b", 10)])
    assert known.limit().units == 40
    assert known.limit().rows == 100
