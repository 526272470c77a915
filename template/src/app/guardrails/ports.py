"""The ports of the guardrails: embeddings for topics, and the review queue."""

from collections.abc import Hashable, Sequence
from typing import Any, Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray


class TextVectors(Protocol):
    """Embeddings of some texts."""

    @property
    def vectors(self) -> NDArray[np.float32]:
        """One row of unit length per text, in the order of the texts."""


class TextEmbedder(Protocol):
    """Embeds texts."""

    @property
    def deadline(self) -> float:
        """Seconds within which an interactive request must be answered."""

    async def embed(self, texts: Sequence[str], *, owner: Hashable = None, within: float | None = None) -> TextVectors:
        """Embed texts.

        Raises:
            OverloadedError: the texts cannot be embedded within that many seconds.
        """


class ReviewDesk(Protocol):
    """Submits refusals for human review."""

    async def submit(self, reason: str, given: Any, output: str | None, *, owner_id: UUID) -> UUID | None:  # noqa: ANN401 - JSON
        """Submit a refusal and return the ID of its review; None if too many of this owner are already waiting.

        Raises:
            UnavailableError: the review queue is unreachable.
        """
