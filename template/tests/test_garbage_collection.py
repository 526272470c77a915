"""Tests that garbage is still collected, but more rarely."""

import gc
import weakref

from app.garbage_collection import THRESHOLDS, rare_collections


class Knot:
    """An object that refers to itself, so only the garbage collector frees it."""

    def __init__(self) -> None:
        self.itself = self


def test_collections_are_rare_while_the_block_runs_alone() -> None:
    thresholds = gc.get_threshold()
    with rare_collections():
        assert gc.get_threshold() == THRESHOLDS
    assert gc.get_threshold() == thresholds


def test_garbage_that_is_made_in_the_block_is_collected() -> None:
    with rare_collections():
        knots = weakref.WeakSet(Knot() for _ in range(5))
        first = weakref.ref(Knot())
        while first() is not None or knots:
            Knot()
