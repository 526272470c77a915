"""Models that a feature has opened, and that take tensors from callers, too."""

from dataclasses import dataclass, field

from app.inference.batchability import Shapes
from app.inference.ports import ModelSession


@dataclass(frozen=True, slots=True)
class Resident:
    """A feature's model as one that takes tensors: through the same session, not a second copy.

    Attributes:
        max_batch: rows that run together, if they may.
        max_shape: the longest that dimensions may be, by input.
        warm_up: shapes to try at start-up, by input.
    """

    name: str
    version: str
    session: ModelSession
    max_batch: int
    max_shape: Shapes = field(default_factory=dict)
    warm_up: Shapes = field(default_factory=dict)
