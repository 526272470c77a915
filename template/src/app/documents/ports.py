"""Ports of documents: the vector store and the file store."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import UUID

from app.inference.manifest import EmbeddingModel


@dataclass(frozen=True, slots=True)
class PassageVector:
    """The embedding of one passage, with the fields that a search filters by.

    Attributes:
        model: identity of the embedding model, `name@version`.
        embedding: has unit length and the model's dimension.
    """

    passage_id: UUID
    document_id: UUID
    owner_id: UUID
    model: str
    embedding: Sequence[float]


@dataclass(frozen=True, slots=True)
class VectorQuery:
    """A nearest-neighbour query over one owner's vectors.

    Attributes:
        document_ids: search only these documents; None searches all of the owner's.
        passage_ids: search only these passages; None searches all.
        limit: the most passages to return.
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
    """Stores and searches vectors. Every method raises `UnavailableError` if the store cannot be reached."""

    async def prepare(self, model: EmbeddingModel) -> None:
        """Prepare the store for vectors of this model; idempotent."""

    async def upsert(self, vectors: Sequence[PassageVector]) -> None:
        """Store vectors, replacing those of the same passage and model."""

    async def search(self, query: VectorQuery) -> list[VectorMatch]:
        """Find the nearest passages of one owner and one model, best first."""

    async def delete_document(self, *, owner_id: UUID, document_id: UUID) -> None:
        """Delete all vectors of a document; harmless if there are none."""

    async def list_passages(self, *, owner_id: UUID, document_id: UUID) -> set[UUID]:
        """Return the passages of a document that have vectors, of any model."""

    async def delete_passages(self, passage_ids: Sequence[UUID]) -> None:
        """Delete all vectors of these passages, at most some 1000 per call; harmless if there are none."""

    async def ping(self) -> None:
        """Raise `UnavailableError` if the store does not answer."""


class VectorArchive(Protocol):
    """Reads all vectors of a store, to move them to another one."""

    async def scan(self, model: str, *, after: UUID | None = None, limit: int) -> list[PassageVector]:
        """Read a page of one model's vectors, of all owners, by ascending passage; empty after the last one.

        The embeddings are returned as stored, as 32-bit floats. `after` is the last passage of the previous page.

        Raises:
            UnavailableError: the store cannot be reached, or is not prepared for the model.
        """


class FileStore(Protocol):
    """Stores uploaded files under keys that the service chooses."""

    async def save(self, key: str, chunks: AsyncIterator[bytes]) -> None:
        """Store a stream atomically, replacing an existing file."""

    def as_path(self, key: str) -> AbstractAsyncContextManager[Path]:
        """Provide the file as a readable local path while the block runs.

        Raises:
            FileNotFoundError: nothing is stored under the key.
        """

    async def delete(self, key: str) -> None:
        """Delete a file; harmless if there is none."""

    async def delete_all(self, owner_id: UUID) -> None:
        """Delete all files of an owner, those without a document included; harmless if there are none."""
