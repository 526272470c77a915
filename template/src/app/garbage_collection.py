"""Tuning of Python's cyclic garbage collector, so that it does not hold up requests."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# The thresholds of the three generations. With Python's defaults, 700, 10 and 10, the objects of running requests are
# scanned again and again, together with the application: with 800 requests, a server paused for 150 ms more than once a
# second.
THRESHOLDS = (20_000, 10, 100)


@contextmanager
def rarer_garbage_collection() -> Iterator[None]:
    """Raise the collector's thresholds while the block runs."""
    thresholds = gc.get_threshold()
    gc.set_threshold(*THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
