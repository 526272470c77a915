"""An ingestion that is overtaken: by a later one, or by the deletion of its document."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from app.adapters.file_store import LocalFileStore
from app.bootstrap import Services
from app.documents.handlers import STRIDE, IngestDocument
from app.documents.ports import VectorQuery
from app.documents.service import INGEST
from app.inference.embedder import Embedder, Embeddings
from app.jobs.ports import Attempt
from app.settings import Settings
from tests.http import Person

TEXT = b"The warranty lasts 24 months.\n\nSpare parts are sent within three days."

Before = Callable[[int], Awaitable[None]]


class WatchedEmbedder(Embedder):
    """The service's embedder, with something that happens before each call; it is told the call's number."""

    def __init__(self, real: Embedder, before: Before) -> None:
        self.__dict__.update(vars(real))
        self._before = before
        self.calls = 0

    async def embed(self, texts: Sequence[str], *, owner: Hashable = None, within: float | None = None) -> Embeddings:
        """Embed texts after what happens first."""
        self.calls += 1
        await self._before(self.calls)
        return await super().embed(texts, owner=owner, within=within)


class WatchedFiles(LocalFileStore):
    """The service's files, with something that happens before one is read."""

    def __init__(self, folder: Path, before: Callable[[], Awaitable[None]]) -> None:
        super().__init__(folder)
        self._before = before

    @asynccontextmanager
    async def as_path(self, key: str) -> AsyncIterator[Path]:
        """Offer the file after what happens first."""
        await self._before()
        async with super().as_path(key) as path:
            yield path


async def report(fraction: float) -> None:
    """Take no notice."""


async def nothing(_: int) -> None:
    """Let it be embedded."""


def ingestion(services: Services, before: Before = nothing) -> IngestDocument:
    handler = services.job_runner.handlers[INGEST]
    assert isinstance(handler, IngestDocument)
    return replace(handler, embedder=WatchedEmbedder(handler.embedder, before))


async def upload(person: Person, content: bytes = TEXT) -> Attempt:
    """Upload a file; gives the first attempt of its job."""
    accepted = (await person.upload("warranty.txt", content)).json()
    caller = await person.services.auth.ensure_account(person.email)
    payload = {"document_id": accepted["document"]["id"]}
    return Attempt(UUID(accepted["job"]["id"]), caller.id, payload, number=1)


async def reindex(person: Person, first: Attempt) -> Attempt:
    """Ask for another ingestion; gives the first attempt of its job."""
    accepted = await person.request("POST", f"/v1/documents/{first.payload['document_id']}/reindex")
    return replace(first, job_id=UUID(accepted.json()["job"]["id"]))


async def status(person: Person, attempt: Attempt) -> str:
    found: str = (await person.request("GET", f"/v1/documents/{attempt.payload['document_id']}")).json()["status"]
    return found


async def count_vectors(services: Services, owner_id: UUID) -> int:
    embedder = services.ports.embedder
    query = (await embedder.embed(["warranty"])).vectors[0].tolist()
    return len(await services.ports.vectors.search(VectorQuery(owner_id, embedder.model.identity, query, 1000)))


async def test_an_ingestion_that_was_overtaken_leaves_the_document_to_the_later_one(
    ada: Person, services: Services
) -> None:
    embedding, overtaken = asyncio.Event(), asyncio.Event()

    async def wait(_: int) -> None:
        embedding.set()
        await overtaken.wait()

    first = await upload(ada)
    running = asyncio.create_task(ingestion(services, wait).run(first, report))
    await embedding.wait()
    second = await reindex(ada, first)
    overtaken.set()
    await running
    assert await status(ada, first) == "received"
    await ingestion(services).run(second, report)
    assert await status(ada, first) == "ready"


async def test_an_ingestion_that_is_overtaken_while_it_reads_its_file_goes_no_further(
    ada: Person, services: Services, settings: Settings
) -> None:
    first = await upload(ada)

    async def overtake() -> None:
        await reindex(ada, first)

    handler = replace(ingestion(services), files=WatchedFiles(settings.file_store.folder, overtake))
    await handler.run(first, report)
    assert isinstance(handler.embedder, WatchedEmbedder)
    assert (handler.embedder.calls, await status(ada, first)) == (0, "received")


async def test_the_end_of_an_earlier_job_does_not_fail_a_document_that_is_ready(
    ada: Person, services: Services
) -> None:
    first = await upload(ada)
    second = await reindex(ada, first)
    await services.job_runner.run(second.job_id)
    assert (await ada.request("POST", f"/v1/jobs/{first.job_id}/cancel")).status_code == 200
    await services.job_runner.run(first.job_id)
    assert await status(ada, first) == "ready"


@pytest.mark.parametrize("end", ["try again", "give up"])
async def test_no_vectors_are_left_of_a_document_that_was_deleted_while_it_was_indexed(
    ada: Person, services: Services, settings: Settings, end: str
) -> None:
    settings.documents.passage_tokens = 16
    first = await upload(
        ada, b"The warranty of the pump lasts for 24 months from the day of its sale.\n\n" * 3 * STRIDE
    )
    document_id = UUID(first.payload["document_id"])

    async def delete_then_die(call: int) -> None:
        if call == 2:
            assert (await ada.request("DELETE", f"/v1/documents/{document_id}")).status_code == 204
            await services.ports.vectors.delete_document(owner_id=first.owner_id, document_id=document_id)
        elif call == 3:
            raise ConnectionError

    handler = ingestion(services, delete_then_die)
    with pytest.raises(ConnectionError):
        await handler.run(first, report)
    assert await count_vectors(services, first.owner_id) > 0
    if end == "try again":
        await handler.run(first, report)
    else:
        await handler.give_up(first, "It cannot be indexed.")
    assert await count_vectors(services, first.owner_id) == 0
