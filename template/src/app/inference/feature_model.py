"""Models that a feature has opened and that are also served for tensor inference."""

from dataclasses import dataclass, field

from app.inference.batchability import Shapes
from app.inference.ports import ModelSession


@dataclass(frozen=True, slots=True)
class FeatureModel:
    """A feature's model for tensor inference through the feature's own session, without a second copy.

    Attributes:
        max_batch: the most rows of a batch, if rows can be batched.
        max_shape: the maximum of each dimension, by input.
        warm_up: shapes to try at startup, by input.
    """

    name: str
    version: str
    session: ModelSession
    max_batch: int
    max_shape: Shapes = field(default_factory=dict)
    warm_up: Shapes = field(default_factory=dict)
