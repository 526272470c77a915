"""Ingestions overtaken by a later one or by the deletion of their document."""

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from app.bootstrap import Services
from app.documents.handlers import STRIDE
from app.settings import Settings
from tests.documents.ingestions import (
    WatchedEmbedder,
    WatchedFiles,
    count_vectors,
    ingestion,
    interpose,
    reindex,
    report,
    status,
    upload,
)
from tests.http import Person


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


@pytest.mark.parametrize("end", ["go on", "try again", "give up"])
async def test_no_vectors_are_left_of_a_document_that_was_deleted_while_it_was_indexed(
    ada: Person, services: Services, settings: Settings, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    settings.documents.passage_tokens = 16
    first = await upload(
        ada, b"The warranty of the pump lasts for 24 months from the day of its sale.\n\n" * 3 * STRIDE
    )
    document_id = UUID(first.payload["document_id"])

    async def delete() -> None:
        assert (await ada.request("DELETE", f"/v1/documents/{document_id}")).status_code == 204
        await services.ports.vectors.delete_document(owner_id=first.owner_id, document_id=document_id)

    async def die(call: int) -> None:
        if call == 2:
            assert await count_vectors(services, first.owner_id) > 0
            if end != "go on":
                raise ConnectionError

    interpose(monkeypatch, services.ports.vectors, "upsert", delete)
    handler = ingestion(services, die)
    if end == "go on":
        await handler.run(first, report)
        assert isinstance(handler.embedder, WatchedEmbedder)
        assert handler.embedder.calls == 2
    else:
        with pytest.raises(ConnectionError):
            await handler.run(first, report)
    if end == "try again":
        await handler.run(first, report)
    elif end == "give up":
        await handler.give_up(first, "It cannot be indexed.")
    assert await count_vectors(services, first.owner_id) == 0
