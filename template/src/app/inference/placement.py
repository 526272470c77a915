"""How a model is opened: in this process or on another server."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.inference.capacity import BatchingSettings, OpenSession
from app.inference.manifest import Provider


@dataclass(frozen=True, slots=True)
class Placement:
    """How a model's sessions are opened and batched.

    Attributes:
        open_session: opens a session of the model.
        batching: settings for batching.
        cores: cores of this machine for all lanes together; 0 means every core that this process may use.
    """

    open_session: OpenSession
    batching: BatchingSettings
    cores: int = 0


PlaceModel = Callable[[str, str, Path, Sequence[Provider]], Placement]
"""Returns the placement of a model by name, version, path of the graph and the manifest's providers."""
