"""Topics of texts, judged by their similarity to example sentences."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from app.guardrails.ports import TextEmbedder
from app.guardrails.settings import CheckSettings


@dataclass(slots=True)
class TopicPolicy:
    """Allows and denies topics.

    Attributes:
        allowed: example sentences; a text must be similar to one of them; empty allows all.
        denied: example sentences; a text must not be similar to any of them.
        similarity: cosine from which texts are similar.
    """

    embedder: TextEmbedder
    allowed: Sequence[str]
    denied: Sequence[str]
    similarity: float
    _examples: NDArray[np.float32] | None = field(default=None, repr=False)

    async def find_fault(self, text: str, *, owner: Hashable) -> str | None:
        """Return `denied`, `not_allowed`, or None if the topic is acceptable.

        Raises:
            OverloadedError: the embedding model is overloaded, so the topic is unknown.
        """
        if self._examples is None:
            examples = [*self.allowed, *self.denied]
            self._examples = (await self.embedder.embed(examples)).vectors
        embedded = await self.embedder.embed([text], owner=owner, within=self.embedder.deadline)
        likenesses = self._examples @ embedded.vectors[0]
        allowed, denied = likenesses[: len(self.allowed)], likenesses[len(self.allowed) :]
        if (denied >= self.similarity).any():
            return "denied"
        return "not_allowed" if self.allowed and not (allowed >= self.similarity).any() else None


def make_topics(settings: CheckSettings, embedder: TextEmbedder) -> TopicPolicy | None:
    """Build the configured policy; None if no topic is configured."""
    if not settings.allowed_topics and not settings.denied_topics:
        return None
    return TopicPolicy(embedder, settings.allowed_topics, settings.denied_topics, settings.topic_similarity)
