"""Tests of the rules for what runs in one batch after a failure."""

from app.inference.batch_policy import MAX_ISOLATED, BatchPolicy
from app.inference.fair_queue import BatchLimit, Item


def item(owner: object, size: int = 1) -> Item:
    return Item(None, size, object(), 0, owner=owner)


def policy() -> BatchPolicy:
    return BatchPolicy(BatchLimit(100, 1000, float))


def test_all_run_together_until_something_fails() -> None:
    others = [item("b"), item("c")]
    assert policy().compatible(item("a"), others) == others


def test_an_owner_whose_input_failed_runs_with_nobody_else() -> None:
    rules = policy()
    rules.isolate("bad")
    good, bad = item("good"), item("bad")
    assert rules.compatible(item("good"), [good, bad]) == [good]
    assert rules.compatible(item("bad"), [good, bad]) == [bad]


def test_no_more_owners_are_remembered_than_there_is_room_for() -> None:
    rules = policy()
    for owner in range(MAX_ISOLATED + 1):
        rules.isolate(owner)
    everybody = [item(owner) for owner in range(MAX_ISOLATED + 1)]
    assert rules.compatible(item("good"), everybody) == everybody[:1]


def test_batches_are_half_as_large_as_what_had_no_memory() -> None:
    rules = policy()
    rules.shrink([item("a", 40), item("b", 10)])
    assert rules.limit().units == 40
    rules.shrink([item("a", 400), item("b", 10)])
    assert rules.limit().units == 40
    assert rules.limit().rows == 100
