"""Searches and answers whose passages a cross-encoder reranks."""

import json
from contextlib import nullcontext
from dataclasses import replace

import httpx2
import numpy as np
import pytest
from fastapi import FastAPI
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from app.answers.passage_reranking import PassageReranker
from app.answers.settings import SearchSettings
from app.bootstrap import Services, build_services
from app.documents.ports import VectorMatch, VectorQuery
from app.settings import Settings
from tests.answers.reranking.judged import MAX_TOKENS, QUESTION, SCALE, TEXTS, Listener, search, texts, upload_all
from tests.documents.fakes import FakeVectorStore
from tests.http import Person, join
from tests.reranking.graphs import expected_logit


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


class TestDefaultSettings:
    """The service with default search settings."""

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
    assert PassageReranker(lambda: nullcontext(Listener()), settings).candidates(wanted) == judged


class LeakingVectorStore(FakeVectorStore):
    """A vector store that returns every owner's passages to any caller."""

    async def search(self, query: VectorQuery) -> list[VectorMatch]:
        """Return every passage."""
        return [VectorMatch(passage_id, 0.5) for passage_id, _ in self.vectors]


async def test_what_belongs_to_others_never_reaches_the_cross_encoder(
    settings: Settings, services: Services, client: httpx2.AsyncClient
) -> None:
    with services.ports.rerankers.lease(services.ports.models.served, "judge") as reranker:
        listener = Listener(reranker)
    leaking = build_services(settings, replace(services.ports, vectors=LeakingVectorStore()))
    retrieval = replace(leaking.retrieval, reranker=PassageReranker(lambda: nullcontext(listener), settings.search))
    ada, eve = [await join(client, leaking, email) for email in ("ada@example.com", "eve@example.com")]
    await ada.upload_and_index("mine.txt", TEXTS[0].encode())
    await eve.upload_and_index("hers.txt", TEXTS[-1].encode())
    caller = await leaking.auth.ensure_account(ada.email)
    assert [passage.text for passage in await retrieval.search(QUESTION, caller=caller)] == TEXTS[:1]
    assert listener.heard == [(caller.id, QUESTION, TEXTS[:1])]
