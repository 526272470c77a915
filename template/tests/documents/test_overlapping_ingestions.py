"""Concurrent ingestions of one document: every passage found has the text that its vector was made from."""

from dataclasses import replace

import pytest

from app.auth.caller import Caller, Scope
from app.bootstrap import Services
from app.documents.handlers import IngestDocument
from app.errors import RetryJobError
from app.jobs.ports import Attempt
from app.settings import Settings
from tests.documents.ingestions import (
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

LINES = [
    f"Part {number} of the pump costs {number * 7} euros and weighs {number * 3} grams." for number in range(1, 40)
]
TEXT = "\n\n".join(LINES).encode()
CALLS = ["list_passages", "delete_passages", "upsert"]


def cutting(services: Services, tokens: int) -> IngestDocument:
    """Return an ingestion whose passages have at most `tokens` tokens."""
    handler = ingestion(services)
    return replace(handler, settings=handler.settings.model_copy(update={"passage_tokens": tokens}))


async def check_search(services: Services, ada: Person, attempt: Attempt) -> None:
    """Check that the document is ready and that each passage is the first result for its own text."""
    assert await status(ada, attempt) == "ready"
    caller = Caller(id=attempt.owner_id, scopes=frozenset(Scope))
    everything = await services.retrieval.search("pump", caller=caller, top_k=100)
    assert await count_vectors(services, attempt.owner_id) == len(everything)
    whole = "".join(each.text for each in sorted(everything, key=lambda each: each.start))
    assert "".join(whole.split()) == "".join(TEXT.decode().split())
    for passage in everything:
        [found] = await services.retrieval.search(passage.text, caller=caller, top_k=1)
        assert (found.text, found.score > 0.99) == (passage.text, True)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("lengths", [(16, 64), (64, 16)])
async def test_a_later_job_that_comes_between_has_the_last_word(
    ada: Person, services: Services, monkeypatch: pytest.MonkeyPatch, call: str, lengths: tuple[int, int]
) -> None:
    indexed = await upload(ada, TEXT)
    await cutting(services, 32).run(indexed, report)
    first = await reindex(ada, indexed)

    async def overtake() -> None:
        second = await reindex(ada, first)
        await cutting(services, lengths[1]).run(second, report)

    interpose(monkeypatch, services.ports.vectors, call, overtake)
    await cutting(services, lengths[0]).run(first, report)
    await check_search(services, ada, first)


@pytest.mark.parametrize("call", CALLS)
async def test_of_two_attempts_at_a_job_the_one_that_stored_its_passages_last_is_found(
    ada: Person, services: Services, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    indexed = await upload(ada, TEXT)
    await cutting(services, 32).run(indexed, report)
    first = await reindex(ada, indexed)

    async def overtake() -> None:
        await cutting(services, 64).run(first, report)

    interpose(monkeypatch, services.ports.vectors, call, overtake)
    with pytest.raises(RetryJobError):
        await cutting(services, 16).run(first, report)
    await check_search(services, ada, first)
    await cutting(services, 16).run(first, report)
    await check_search(services, ada, first)


async def test_an_attempt_that_reads_while_another_finishes_changes_nothing(
    ada: Person, services: Services, settings: Settings
) -> None:
    first = await upload(ada, TEXT)

    async def finish() -> None:
        await cutting(services, 64).run(first, report)

    handler = replace(cutting(services, 16), files=WatchedFiles(settings.file_store.folder, finish))
    with pytest.raises(RetryJobError):
        await handler.run(first, report)
    await check_search(services, ada, first)
