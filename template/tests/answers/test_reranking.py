"""Searches and answers whose passages a cross-encoder has judged."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi import FastAPI
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from structlog.testing import capture_logs

from app.adapters.model_session import open_model_session
from app.answers.passage_reranking import PassageReranker, SearchSettings
from app.bootstrap import Services, build_services, open_ports
from app.documents.ports import VectorMatch, VectorQuery
from app.errors import OverloadedError, StartupError
from app.inference.model_folders import ModelsSettings
from app.inference.ports import ModelSession
from app.reranking.manifest import load_cross_encoder
from app.reranking.ports import CrossEncoder, Relevance
from app.reranking.reranker import Reranker, open_rerankers
from app.settings import Settings
from tests.documents.fakes import FakeVectorStore
from tests.http import Person, join
from tests.inference.faulty_session import FaultySession, Mischief
from tests.reranking.graphs import WORDS, cross_encoder, expected_logit, register_cross_encoder, weights

MAX_TOKENS = 32
QUESTION = "How long does the warranty last?"
SCALE = 0.1
HEAVY = WORDS[int(weights().argmax())]
# The nearest to the question first; the cross-encoder likes the last one best.
TEXTS = [
    "The warranty lasts 24 months.",
    f"The warranty of the battery lasts 6 months. {HEAVY} {HEAVY} {HEAVY}",
    f"The warranty of spare parts lasts 3 months. {HEAVY} {HEAVY} {HEAVY} {HEAVY} {HEAVY}",
]
WITHOUT_WAITING = SearchSettings(reranker="judge", rerank_timeout=0.1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    models = tmp_path / "models"
    register_cross_encoder(models, cross_encoder(scale=SCALE), max_tokens=MAX_TOKENS)
    return models


@pytest.fixture
def search_settings() -> SearchSettings:
    return SearchSettings(reranker="judge", rerank_timeout=60)


@pytest.fixture
def settings(settings: Settings, folder: Path, search_settings: SearchSettings) -> Settings:
    return settings.model_copy(update={"models": ModelsSettings(folder=folder), "search": search_settings})


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


async def upload_all(person: Person) -> None:
    for number, text in enumerate(TEXTS):
        await person.upload_and_index(f"{number}.txt", text.encode())


async def search(person: Person, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    response = await person.request("POST", "/v1/search", json={"query": QUESTION} | body)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def texts(found: dict[str, Any]) -> list[str]:
    return [item["text"] for item in found["items"]]


def expected_score(text: str) -> float:
    return float(1 / (1 + np.exp(-SCALE * expected_logit(QUESTION, text, MAX_TOKENS))))


async def test_passages_come_in_the_order_of_the_cross_encoder_with_both_scores(ada: Person) -> None:
    await upload_all(ada)
    found = await search(ada)
    assert texts(found) == TEXTS[::-1]
    assert found["reranker"] == "judge@1"
    for item in found["items"]:
        assert item["rerank_score"] == pytest.approx(expected_score(item["text"]), abs=1e-5)
    cosines = [item["score"] for item in found["items"]]
    assert cosines == sorted(cosines)


async def test_the_best_is_found_among_more_passages_than_are_wanted(ada: Person) -> None:
    await upload_all(ada)
    assert texts(await search(ada, top_k=1)) == TEXTS[-1:]


async def test_filters_hold_and_where_nothing_is_found_nobody_is_named(ada: Person) -> None:
    await upload_all(ada)
    nearest = (await search(ada))["items"][-1]
    assert texts(await search(ada, filters={"document_ids": [nearest["document_id"]]})) == TEXTS[:1]
    assert await search(ada, filters={"tags": ["none"]}) == {"items": [], "model": "static-minilm@1"}


async def test_an_answer_rests_on_what_the_cross_encoder_chose_whole_and_streamed(ada: Person) -> None:
    await upload_all(ada)
    body = {"question": QUESTION, "top_k": 1}
    whole = (await ada.request("POST", "/v1/answers", json=body)).json()
    assert "3 months" in whole["answer"]
    [citation] = whole["citations"]
    assert TEXTS[-1][citation["start"] : citation["end"]] == citation["quote"]
    streamed = (await ada.request("POST", "/v1/answers", json=body | {"stream": True})).text.strip().split("\n\n")
    names, data = zip(*(event.split("\n") for event in streamed), strict=True)
    assert (names[0], names[-1]) == ("event: passages", "event: done")
    [passage] = json.loads(data[0].removeprefix("data: "))["items"]
    assert (passage["text"], passage["rerank_score"]) == (TEXTS[-1], pytest.approx(expected_score(TEXTS[-1]), abs=1e-5))
    assert json.loads(data[-1].removeprefix("data: ")) == whole


async def test_assistants_get_the_same_order(application: FastAPI, ada: Person) -> None:
    await upload_all(ada)
    http = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(application), headers=ada.headers, base_url="http://service"
    )
    async with Client(streamable_http_client("http://service/mcp", http_client=http)) as session:
        found = await session.call_tool("search", {"query": QUESTION})
        assert found.structured_content == await search(ada)
        answer = await session.call_tool("ask", {"question": QUESTION, "top_k": 1})
        assert answer.structured_content is not None
        assert "3 months" in answer.structured_content["answer"]


class TestNotAsked:
    """The service as it comes."""

    @pytest.fixture
    def search_settings(self) -> SearchSettings:
        return SearchSettings()

    async def test_a_registered_cross_encoder_changes_nothing_unless_it_is_named(self, ada: Person) -> None:
        await upload_all(ada)
        found = await search(ada)
        assert texts(found) == TEXTS
        assert set(found) == {"items", "model"}
        fields = {"passage_id", "document_id", "filename", "text", "score", "start", "end", "page"}
        assert all(set(item) == fields for item in found["items"])


@pytest.mark.parametrize(
    ("wanted", "per_passage", "most", "judged"), [(5, 4, 100, 20), (5, 1, 100, 5), (50, 4, 100, 100), (50, 4, 20, 50)]
)
def test_what_is_judged_is_bounded_but_never_less_than_what_is_wanted(
    wanted: int, per_passage: int, most: int, judged: int
) -> None:
    settings = SearchSettings(candidates_per_passage=per_passage, max_candidates=most)
    assert PassageReranker(Listener(), settings).candidates(wanted) == judged


@dataclass
class Listener:
    """Remembers whom it was asked for and what about; judges as another does, or is too busy."""

    judge: CrossEncoder | None = None
    heard: list[tuple[Hashable, str, Sequence[str]]] = field(default_factory=list)
    identity: str = "listener@1"

    async def score(
        self, query: str, documents: Sequence[str], *, owner: Hashable, within: float | None = None
    ) -> Relevance:
        """Score as another does."""
        self.heard.append((owner, query, documents))
        if self.judge is None:
            raise OverloadedError("Too busy.", retry_after=7)
        return await self.judge.score(query, documents, owner=owner, within=within)


class LeakingVectorStore(FakeVectorStore):
    """Finds everybody's passages, whoever asks."""

    async def search(self, query: VectorQuery) -> list[VectorMatch]:
        """Find everything."""
        return [VectorMatch(passage_id, 0.5) for passage_id, _ in self.vectors]


async def test_what_belongs_to_others_never_reaches_the_cross_encoder(
    settings: Settings, services: Services, client: httpx2.AsyncClient
) -> None:
    [reranker] = services.ports.rerankers
    listener = Listener(reranker)
    leaking = build_services(settings, replace(services.ports, vectors=LeakingVectorStore()))
    retrieval = replace(leaking.retrieval, reranker=PassageReranker(listener, settings.search))
    ada, eve = [await join(client, leaking, email) for email in ("ada@example.com", "eve@example.com")]
    await ada.upload_and_index("mine.txt", TEXTS[0].encode())
    await eve.upload_and_index("hers.txt", TEXTS[-1].encode())
    caller = await leaking.auth.ensure_account(ada.email)
    assert [passage.text for passage in await retrieval.search(QUESTION, caller=caller)] == TEXTS[:1]
    assert listener.heard == [(caller.id, QUESTION, TEXTS[:1])]


async def test_a_cross_encoder_that_is_too_busy_leaves_the_nearest_in_their_order(
    services: Services, settings: Settings, ada: Person
) -> None:
    await upload_all(ada)
    caller = await services.auth.ensure_account(ada.email)
    retrieval = replace(services.retrieval, reranker=PassageReranker(Listener(), settings.search))
    with capture_logs() as logs:
        found = await retrieval.search(QUESTION, caller=caller, top_k=2)
    assert [(passage.text, passage.rerank_score) for passage in found] == [(text, None) for text in TEXTS[:2]]
    [entry] = [each for each in logs if each["event"] == "search.not_reranked"]
    assert (entry["log_level"], entry["model"], entry["code"]) == ("warning", "listener@1", "overloaded")
    assert "warranty" not in str(logs)


async def test_a_question_that_the_cross_encoder_cannot_read_is_searched_without_it(ada: Person) -> None:
    await upload_all(ada)
    found = await search(ada, query=f"{QUESTION} " * 8)
    assert len(found["items"]) == len(TEXTS)
    assert "reranker" not in found
    assert not any("rerank_score" in item for item in found["items"])


class TestNoNumbers:
    """A cross-encoder whose scores are none."""

    @pytest.fixture
    def search_settings(self, folder: Path) -> SearchSettings:
        register_cross_encoder(folder, cross_encoder(scale=float("inf")), name="wild")
        return SearchSettings(reranker="wild", rerank_timeout=60)

    async def test_passages_keep_their_order(self, ada: Person) -> None:
        await upload_all(ada)
        found = await search(ada)
        assert texts(found) == TEXTS
        assert "reranker" not in found


@asynccontextmanager
async def stuck(settings: Settings, folder: Path) -> AsyncIterator[tuple[Reranker, threading.Event]]:
    """Open a cross-encoder that is at somebody's request, and stays there until the event is set."""
    mischief, begun, free = Mischief(), threading.Event(), threading.Event()

    def strike() -> None:
        begun.set()
        free.wait()

    @asynccontextmanager
    async def open_model(graph: Path, threads: int) -> AsyncIterator[ModelSession]:
        async with open_model_session(settings.model_session, graph, threads) as session:
            yield FaultySession(session, mischief)

    model = load_cross_encoder(folder / "judge-1")
    async with open_rerankers([model], settings.batching, open_model, cores=1) as [reranker]:
        mischief.strike = strike
        first = asyncio.create_task(reranker.score("w1", ["w2"], owner=None))
        await asyncio.to_thread(begun.wait)
        try:
            yield reranker, free
        finally:
            free.set()
            await first


async def test_a_stuck_cross_encoder_holds_a_search_up_no_longer_than_allowed_and_is_asked_again(
    settings: Settings, folder: Path, services: Services, ada: Person
) -> None:
    await upload_all(ada)
    caller = await services.auth.ensure_account(ada.email)
    async with stuck(settings, folder) as (reranker, free):
        impatient = replace(services.retrieval, reranker=PassageReranker(reranker, WITHOUT_WAITING))
        found = await impatient.search(QUESTION, caller=caller)
        assert [(passage.text, passage.rerank_score) for passage in found] == [(text, None) for text in TEXTS]
        free.set()
        patient = replace(services.retrieval, reranker=PassageReranker(reranker, settings.search))
        assert [passage.text for passage in await patient.search(QUESTION, caller=caller)] == TEXTS[::-1]


async def test_nothing_waits_for_the_cross_encoder_when_the_client_has_gone(
    settings: Settings, folder: Path, services: Services, ada: Person
) -> None:
    await upload_all(ada)
    caller = await services.auth.ensure_account(ada.email)
    async with stuck(settings, folder) as (reranker, _):
        retrieval = replace(services.retrieval, reranker=PassageReranker(reranker, settings.search))
        searching = asyncio.create_task(retrieval.search(QUESTION, caller=caller))
        while reranker.batcher.waiting < len(TEXTS):
            await asyncio.sleep(0.01)
        searching.cancel()
        await asyncio.wait({searching})
        assert reranker.batcher.waiting == 0


async def test_a_name_that_nobody_has_ends_the_start_of_what_serves_callers(settings: Settings) -> None:
    wrong = settings.model_copy(update={"search": SearchSettings(reranker="jury")})
    with pytest.raises(StartupError, match=r"APP_SEARCH__RERANKER names jury; .* are judge@1\.$"):
        async with open_ports(wrong, serving=True):
            pass
    # A worker searches nothing, and opens no cross-encoder.
    async with open_ports(wrong) as ports:
        assert ports.rerankers == []
