"""Fakes of the documents ports; the adapters' contract suites check that they behave like the real ones."""

import math
from collections.abc import Sequence
from uuid import UUID

from app.documents.ports import PassageVector, VectorMatch, VectorQuery
from app.errors import StartupError, UnavailableError
from app.inference.manifest import EmbeddingModel


class FakeVectorStore:
    """An in-memory vector store that compares a query with every vector."""

    def __init__(self) -> None:
        self.dimensions: dict[str, int] = {}
        self.vectors: dict[tuple[UUID, str], PassageVector] = {}

    async def prepare(self, model: EmbeddingModel) -> None:
        """Store the model's dimension; raise if it changes."""
        if self.dimensions.setdefault(model.identity, model.dimension) != model.dimension:
            raise StartupError(f"The vectors of {model.identity} have another dimension than {model.dimension}.")

    async def upsert(self, vectors: Sequence[PassageVector]) -> None:
        """Store vectors by passage and model."""
        self.vectors |= {(vector.passage_id, vector.model): vector for vector in vectors}

    async def search(self, query: VectorQuery) -> list[VectorMatch]:
        """Return the nearest vectors that pass the filters."""
        matches = [
            VectorMatch(vector.passage_id, cosine(query.embedding, vector.embedding))
            for vector in self.vectors.values()
            if (vector.owner_id, vector.model) == (query.owner_id, query.model)
            and (query.document_ids is None or vector.document_id in query.document_ids)
            and (query.passage_ids is None or vector.passage_id in query.passage_ids)
        ]
        return sorted(matches, key=lambda match: (-match.score, match.passage_id))[: query.limit]

    async def delete_document(self, *, owner_id: UUID, document_id: UUID) -> None:
        """Delete a document's vectors of every model."""
        gone = (owner_id, document_id)
        self.vectors = {key: kept for key, kept in self.vectors.items() if (kept.owner_id, kept.document_id) != gone}

    async def list_passages(self, *, owner_id: UUID, document_id: UUID) -> set[UUID]:
        """Return the passages of a document that have vectors."""
        wanted = (owner_id, document_id)
        return {each.passage_id for each in self.vectors.values() if (each.owner_id, each.document_id) == wanted}

    async def delete_passages(self, passage_ids: Sequence[UUID]) -> None:
        """Delete the vectors of passages for every model."""
        self.vectors = {key: kept for key, kept in self.vectors.items() if key[0] not in passage_ids}

    async def scan(self, model: str, *, after: UUID | None = None, limit: int) -> list[PassageVector]:
        """Return a model's vectors in the order of the passages."""
        if model not in self.dimensions:
            raise UnavailableError("The vector store is not prepared for this embedding model.")
        passages = sorted(key for key in self.vectors if key[1] == model and (after is None or key[0] > after))
        return [self.vectors[key] for key in passages[:limit]]

    async def ping(self) -> None:
        """Do nothing: the store is always reachable."""


def cosine(left: Sequence[float], right: Sequence[float]) -> float:
    """Return the cosine of the angle between two nonzero vectors."""
    product = sum(a * b for a, b in zip(left, right, strict=True))
    return max(-1.0, min(1.0, product / (math.hypot(*left) * math.hypot(*right))))
