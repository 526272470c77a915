"""What the models of the batching benchmark are given."""

from __future__ import annotations

import numpy as np

FEATURES = 64
VOCABULARY = 2000


def vector() -> list[float]:
    """Return a row of the models that take one."""
    numbers: list[float] = np.random.default_rng(3).standard_normal(FEATURES).round(4).tolist()
    return numbers


def texts(count: int) -> list[list[int]]:
    """Token ids of texts as they come: mostly short, some ten times as long."""
    random = np.random.default_rng(11)
    lengths = np.clip(np.exp(random.normal(np.log(24), 0.9, count)), 4, 256).astype(int)
    return [random.integers(1, VOCABULARY, length).tolist() for length in lengths]
