"""What documents need from the outside."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID

from app.inference.manifest import EmbeddingModel


@dataclass(frozen=True, slots=True)
class PassageVector:
    """The embedding of one passage, with what a search filters by.

    Attributes:
        model: identity of the embedding model, `name@version`.
        embedding: unit length, of the model's dimension.
    """

    passage_id: UUID
    document_id: UUID
    owner_id: UUID
    model: str
    embedding: Sequence[float]


@dataclass(frozen=True, slots=True)
class VectorQuery:
    """What to look for, and where.

    Attributes:
        document_ids: search these documents only; None searches all of the owner's.
        passage_ids: compare with these passages only; None searches all.
        limit: how many passages at most.
    """

    owner_id: UUID
    model: str
    embedding: Sequence[float]
    limit: int
    document_ids: Sequence[UUID] | None = None
    passage_ids: Sequence[UUID] | None = None


@dataclass(frozen=True, slots=True)
class VectorMatch:
    """A passage near the query; `score` is the cosine similarity, -1 to 1."""

    passage_id: UUID
    score: float


class VectorStore(Protocol):
    """Finds the passages nearest to a vector. Every method raises `UnavailableError` if the store is out of reach."""

    async def prepare(self, model: EmbeddingModel) -> None:
        """Make the store ready for vectors of this model; harmless when it already is."""

    async def upsert(self, vectors: Sequence[PassageVector]) -> None:
        """Store vectors, replacing those of the same passage and model."""

    async def search(self, query: VectorQuery) -> list[VectorMatch]:
        """Find the nearest passages of one owner and one model, best first."""

    async def delete_document(self, *, owner_id: UUID, document_id: UUID) -> None:
        """Forget all vectors of a document; harmless when there are none."""

    async def list_passages(self, *, owner_id: UUID, document_id: UUID) -> set[UUID]:
        """List the passages of a document that have vectors, of whatever model."""

    async def delete_passages(self, passage_ids: Sequence[UUID]) -> None:
        """Forget all vectors of these passages; harmless when there are none. Thousands at once are too many."""

    async def ping(self) -> None:
        """Raise `UnavailableError` if the store does not answer."""


class VectorArchive(Protocol):
    """Reads back what a vector store holds, so that it can be moved to another one."""

    async def scan(self, model: str, *, after: UUID | None = None, limit: int) -> list[PassageVector]:
        """Read vectors of one model, whoever owns them, by ascending passage; nothing comes after the last one.

        The embeddings are what is stored, as 32-bit floats. `after` is the passage at which the page before ended.

        Raises:
            UnavailableError: the store is out of reach, or not prepared for the model.
        """


class FileStore(Protocol):
    """Keeps uploaded files under keys that the service chooses."""

    async def save(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Store a stream whole or not at all, replacing what was there."""

    def as_path(self, key: str) -> AbstractAsyncContextManager[Path]:
        """Offer the file as a readable local path while the block runs.

        Raises:
            FileNotFoundError: nothing is stored under the key.
        """

    async def delete(self, key: str) -> None:
        """Forget a file; harmless when it is not there."""

    async def delete_all(self, owner_id: UUID) -> None:
        """Forget all files of an owner, known or not; harmless when there are none."""
