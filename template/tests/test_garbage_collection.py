"""Tests that garbage is still collected, but more rarely."""

import gc
import weakref

from app.garbage_collection import THRESHOLDS, rarer_garbage_collection


class Knot:
    """An object that refers to itself, so only the garbage collector frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_the_thresholds_are_restored_after_the_block() -> None:
    thresholds = gc.get_threshold()
    with rarer_garbage_collection():
        assert gc.get_threshold() == THRESHOLDS
    assert gc.get_threshold() == thresholds


def test_garbage_that_is_made_in_the_block_is_collected() -> None:
    with rarer_garbage_collection():
        knots = weakref.WeakSet(Knot() for _ in range(5))
        first = weakref.ref(Knot())
        while first() is not None or knots:
            Knot()
