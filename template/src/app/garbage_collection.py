"""Tuning of Python's cyclic garbage collector, so that it does not hold up requests."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# How many more objects are made than let go before the newest are looked through, after how many of these looks the
# older ones are, and after how many of those all. With Python's own 700, 10 and 10, all that requests under way have
# made is looked through again and again, and the application with it: with 800 of them a server stood still for 150 ms
# more than once a second.
THRESHOLDS = (20_000, 10, 100)


@contextmanager
def rare_collections() -> Iterator[None]:
    """Collect garbage rarely while the block runs."""
    thresholds = gc.get_threshold()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
