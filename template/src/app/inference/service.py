"""Embedding texts for callers."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.auth.caller import Caller, Scope
from app.errors import NotFoundError
from app.inference.embedder import Embedder, Embeddings


@dataclass(frozen=True, slots=True)
class EmbeddingService:
    """Gives callers the vectors that the service itself searches with."""

    embedder: Embedder

    async def embed(self, texts: Sequence[str], model: str, *, caller: Caller) -> Embeddings:
        """Embed texts with the model of this name.

        Raises:
            NotFoundError: no such model is served.
        """
        caller.require(Scope.EMBEDDINGS)
        served = self.embedder.model
        if model not in {served.name, served.identity}:
            raise NotFoundError(f"There is no embedding model {model!r}; this service has {served.name!r}.")
        return await self.embedder.embed(texts)
