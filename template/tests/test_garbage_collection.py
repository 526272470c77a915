"""Garbage is collected, but what was there before the service ran is not looked through for it."""

import gc
import weakref

from app.garbage_collection import THRESHOLDS, rare_collections


class Knot:
    """Holds itself, so that counting references does not free it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_there_before_is_left_out_while_the_block_runs() -> None:
    before, thresholds = gc.get_freeze_count(), gc.get_threshold()
    with rare_collections():
        assert gc.get_freeze_count() > before
        assert gc.get_threshold() == THRESHOLDS
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == thresholds


def test_garbage_that_is_made_in_the_block_is_collected() -> None:
    with rare_collections():
        knots = weakref.WeakSet(Knot() for _ in range(5))
        first = weakref.ref(Knot())
        while first() is not None or knots:
            Knot()
