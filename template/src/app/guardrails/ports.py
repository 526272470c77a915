"""The ports of guardrails."""

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
        """Seconds in which somebody who waits for an answer must have it."""

    async def embed(self, texts: Sequence[str], *, owner: Hashable = None, within: float | None = None) -> TextVectors:
        """Embed texts.

        Raises:
            OverloadedError: it cannot be done in so many seconds.
        """


class ReviewDesk(Protocol):
    """Submits refusals for human review."""

    async def submit(self, reason: str, given: Any, output: str | None, *, owner_id: UUID) -> UUID | None:  # noqa: ANN401 - JSON
        """Put it into the queue and give the item's identifier; None where too much of this owner's waits already.

        Raises:
            UnavailableError: the queue cannot be reached.
        """
