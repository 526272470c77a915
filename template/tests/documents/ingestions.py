"""Helpers that make something happen in the middle of an ingestion."""

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from app.adapters.file_store import LocalFileStore
from app.bootstrap import Services
from app.documents.handlers import IngestDocument
from app.documents.ports import VectorQuery, VectorStore
from app.documents.service import INGEST
from app.inference.embedder import Embedder, Embeddings
from app.jobs.ports import Attempt
from tests.http import Person

TEXT = b"The warranty lasts 24 months.\n\nSpare parts are sent within three days."

Before = Callable[[int], Awaitable[None]]


class WatchedEmbedder(Embedder):
    """The service's embedder with a callback before each call, which receives the call's number."""

    def __init__(self, real: Embedder, before: Before) -> None:
        self.__dict__.update(vars(real))
        self._before = before
        self.calls = 0

    async def embed(self, texts: Sequence[str], *, owner: Hashable = None, within: float | None = None) -> Embeddings:
        """Embed texts after the callback."""
        self.calls += 1
        await self._before(self.calls)
        return await super().embed(texts, owner=owner, within=within)


class WatchedFiles(LocalFileStore):
    """The service's file store with a callback before a file is read."""

    def __init__(self, folder: Path, before: Callable[[], Awaitable[None]]) -> None:
        super().__init__(folder)
        self._before = before

    @asynccontextmanager
    async def as_path(self, key: str) -> AsyncIterator[Path]:
        """Yield the path of a file after the callback."""
        await self._before()
        async with super().as_path(key) as path:
            yield path


async def report(fraction: float) -> None:
    """Ignore the progress."""


async def nothing(_: int) -> None:
    """Do nothing before an embedding."""


def ingestion(services: Services, before: Before = nothing) -> IngestDocument:
    """Return the service's ingestion with a callback before each part is embedded."""
    handler = services.job_runner.handlers[INGEST]
    assert isinstance(handler, IngestDocument)
    return replace(handler, embedder=WatchedEmbedder(handler.embedder, before))


async def upload(person: Person, content: bytes = TEXT) -> Attempt:
    """Upload a file; return the first attempt of its job."""
    accepted = (await person.upload("warranty.txt", content)).json()
    caller = await person.services.auth.ensure_account(person.email)
    payload = {"document_id": accepted["document"]["id"]}
    return Attempt(UUID(accepted["job"]["id"]), caller.id, payload, number=1)


async def reindex(person: Person, first: Attempt) -> Attempt:
    """Request another ingestion; return the first attempt of its job."""
    accepted = await person.request("POST", f"/v1/documents/{first.payload['document_id']}/reindex")
    return replace(first, job_id=UUID(accepted.json()["job"]["id"]))


async def status(person: Person, attempt: Attempt) -> str:
    """Return the status of the document."""
    found: str = (await person.request("GET", f"/v1/documents/{attempt.payload['document_id']}")).json()["status"]
    return found


async def count_vectors(services: Services, owner_id: UUID) -> int:
    """Count the vectors of an owner's documents, including those that no search would show."""
    embedder = services.ports.embedder
    query = (await embedder.embed(["warranty"])).vectors[0].tolist()
    return len(await services.ports.vectors.search(VectorQuery(owner_id, embedder.model.identity, query, 1000)))


def interpose(
    monkeypatch: pytest.MonkeyPatch, vectors: VectorStore, method: str, happens: Callable[[], Awaitable[None]]
) -> None:
    """Run a callback before the next call of a vector store method."""
    real = getattr(vectors, method)

    async def late(*args: object, **kwargs: object) -> object:
        monkeypatch.setattr(vectors, method, real)
        await happens()
        return await real(*args, **kwargs)

    monkeypatch.setattr(vectors, method, late)
