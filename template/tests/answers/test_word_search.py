"""Word search: it finds codes and names that embeddings blur, and only in the owner's passages."""

from dataclasses import replace
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import String, Uuid, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from structlog.testing import capture_logs

from app.answers.settings import SearchSettings
from app.answers.word_search import WordSearch, fuse
from app.auth.caller import Caller
from app.bootstrap import Services
from app.database import open_database
from app.documents import repository
from app.settings import Settings
from tests.http import Person, join

NEARER = [
    f"Fault codes of the pump, page {page}: what a fault code means and what to do about it." for page in range(60)
]
FAULT = "Replace the sealing ring if XR-4471 lights up."
QUERY = "Which fault code is XR-4471, and what does it mean?"


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


@pytest.fixture
async def caller(ada: Person, services: Services) -> Caller:
    """A caller with one passage that has a code, among many that are nearer in meaning."""
    for name, lines in {"nearer.txt": NEARER, "fault.txt": [FAULT]}.items():
        await ada.upload_and_index(name, "\n\n".join(lines).encode())
    return await services.auth.ensure_account(ada.email)


async def test_a_code_is_found_among_passages_that_are_nearer_in_meaning(caller: Caller, services: Services) -> None:
    found = await services.retrieval.search(QUERY, caller=caller, top_k=3)
    by_meaning = replace(services.retrieval, words=None)
    far = [each.text for each in await by_meaning.search(QUERY, caller=caller, top_k=3)]
    assert FAULT in [each.text for each in found]
    assert FAULT not in far


async def test_the_score_of_what_words_have_found_is_the_cosine_as_well(caller: Caller, services: Services) -> None:
    everything = await replace(services.retrieval, words=None).search(QUERY, caller=caller, top_k=100)
    scores = {each.passage_id: each.score for each in everything}
    for each in await services.retrieval.search(QUERY, caller=caller, top_k=3):
        assert each.score == pytest.approx(scores[each.passage_id], abs=0.005)


async def test_nobody_finds_words_of_others(caller: Caller, services: Services) -> None:
    words = services.retrieval.words
    assert words is not None
    stranger = await services.auth.ensure_account("bob@example.com")
    assert await words.find(QUERY, stranger.id, None) == {}
    assert await words.find("XR-4471", caller.id, None)


async def test_a_search_by_words_stays_within_the_given_documents(
    caller: Caller, ada: Person, services: Services
) -> None:
    words = services.retrieval.words
    assert words is not None
    listed = (await ada.request("GET", "/v1/documents")).json()["items"]
    ids = {each["filename"]: UUID(each["id"]) for each in listed}
    assert not await words.find("XR-4471", caller.id, [ids["nearer.txt"]])
    assert await words.find("XR-4471", caller.id, [ids["fault.txt"]])


async def test_rare_words_count_for_more_and_equals_share_the_last_rank(caller: Caller, services: Services) -> None:
    words = services.retrieval.words
    assert words is not None
    ranks = await words.find("page of the XR-4471", caller.id, None)
    rest = len(ranks)
    assert sorted(ranks.values()) == [1] + [rest] * (rest - 1)


@pytest.mark.parametrize("query", ["", "the of and", "?!", "' | & ! :* \\ \x01", "a" * 3000, "of " * 5000, "\x00"])
async def test_queries_without_words_that_count_find_nothing(caller: Caller, services: Services, query: str) -> None:
    words = services.retrieval.words
    assert words is not None
    assert await words.find(query, caller.id, None) == {}


async def test_a_search_goes_on_without_words_that_take_too_long(
    caller: Caller, services: Services, settings: Settings
) -> None:
    alone = settings.database.model_copy(update={"pool_size": 1})
    async with open_database(alone) as database, database.transaction() as session:
        await session.execute(text("SELECT 1"))
        words = WordSearch(database, SearchSettings(words_timeout=0.05))
        with capture_logs() as logs:
            found = await replace(services.retrieval, words=words).search(QUERY, caller=caller, top_k=3)
    assert len(found) == 3
    [entry] = [each for each in logs if each["event"] == "search.words_skipped"]
    assert (entry["log_level"], entry["seconds"]) == ("warning", 0.05)


async def test_words_are_looked_up_in_their_index(caller: Caller, services: Services) -> None:
    statement = text(f"EXPLAIN {repository.BY_WORDS.text}").bindparams(
        bindparam("document_ids", None, ARRAY(Uuid())), bindparam("ignored", [], ARRAY(String())), owner_id=caller.id
    )
    async with services.ports.database.transaction() as session:
        await session.execute(text("SELECT set_config('enable_seqscan', 'off', true)"))
        plan = await session.scalars(statement, {"query": QUERY, "frequent": 10, "limit": 5})
        assert "ix_passages_owner_id_words" in "\n".join(plan)


def test_rankings_are_merged_by_the_reciprocals_of_their_ranks() -> None:
    a, b, c = UUID(int=1), UUID(int=2), UUID(int=3)
    assert fuse({a: 1, b: 2, c: 3}, {c: 1}) == [c, a, b]
    assert fuse({a: 1, b: 2}, {a: 1, b: 1}) == [a, b]
    assert fuse({a: 1, b: 2}, {}) == [a, b]
    assert fuse({}, {}) == []
