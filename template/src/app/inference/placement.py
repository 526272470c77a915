"""Where a model runs: in this process, or on another server."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.inference.capacity import BatchingSettings, OpenSession
from app.inference.manifest import Provider


@dataclass(frozen=True, slots=True)
class Placement:
    """How a model's sessions are opened and shared.

    Attributes:
        cores: what its lanes may use of this machine together; 0 is every core that this process may use.
    """

    open_session: OpenSession
    batching: BatchingSettings
    cores: int = 0


PlaceModel = Callable[[str, str, Path, Sequence[Provider]], Placement]
"""Tells where a model runs, by its name, version, graph, and the providers that its manifest names."""
