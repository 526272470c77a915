"""Answers over HTTP, complete and streamed, with the offline model."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from app.auth.caller import Scope
from app.bootstrap import Services
from app.settings import Settings
from tests.chat.fake_provider import FakeProvider
from tests.chat.service import provider_settings, run_service
from tests.http import Person, join

TEXT = "The warranty lasts 24 months.\n\nSpare parts are sent within three days. Ships sail at noon."
QUESTION = {"question": "How long does the warranty last?"}


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


def events(body: str) -> list[tuple[str, Any]]:
    blocks = [dict(line.split(": ", 1) for line in block.split("\n")) for block in body.strip().split("\n\n")]
    return [(block["event"], json.loads(block["data"])) for block in blocks]


async def test_an_answer_cites_the_characters_that_it_rests_on(ada: Person) -> None:
    document_id = await ada.upload_and_index("warranty.txt", TEXT.encode())
    body = (await ada.request("POST", "/v1/answers", json=QUESTION)).json()
    assert "24 months" in body["answer"]
    [citation] = body["citations"]
    assert citation["document_id"] == document_id
    assert TEXT[citation["start"] : citation["end"]] == citation["quote"] == "The warranty lasts 24 months."
    assert f"[{citation['marker']}]" in body["answer"]
    assert body["model"] == "offline:extractive"


async def test_a_streamed_answer_is_the_same_answer(ada: Person) -> None:
    await ada.upload_and_index("warranty.txt", TEXT.encode())
    whole = (await ada.request("POST", "/v1/answers", json=QUESTION)).json()
    response = await ada.request("POST", "/v1/answers", json=QUESTION | {"stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    streamed = events(response.text)
    assert streamed[0][0] == "passages"
    assert streamed[-1] == ("done", whole)
    assert "".join(data["text"] for name, data in streamed if name == "token") == whole["answer"]


async def test_a_question_that_the_documents_do_not_answer_gets_an_honest_answer(ada: Person) -> None:
    body = (await ada.request("POST", "/v1/answers", json=QUESTION)).json()
    assert (body["citations"], body["usage"]) == ([], {"input_tokens": 0, "output_tokens": 0})
    await ada.upload_and_index("warranty.txt", TEXT.encode())
    unrelated = {"question": "Which composer wrote nine symphonies?"}
    body = (await ada.request("POST", "/v1/answers", json=unrelated)).json()
    assert body["citations"] == []


async def test_a_key_for_answers_needs_no_other_scope(
    client: httpx2.AsyncClient, services: Services, ada: Person
) -> None:
    await ada.upload_and_index("warranty.txt", TEXT.encode())
    narrow = await join(client, services, "ada@example.com", Scope.ANSWERS)
    assert (await narrow.request("POST", "/v1/answers", json=QUESTION)).status_code == 200
    assert (await narrow.request("POST", "/v1/search", json={"query": "warranty"})).status_code == 403


async def test_what_fails_before_the_first_event_is_an_ordinary_problem(
    client: httpx2.AsyncClient, services: Services
) -> None:
    weak = await join(client, services, "weak@example.com", Scope.SEARCH)
    response = await weak.request("POST", "/v1/answers", json=QUESTION | {"stream": True})
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_a_client_that_leaves_stops_the_model(
    settings: Settings, provider: FakeProvider, *, stream: bool
) -> None:
    patient = provider_settings(provider, "openai", "stalls", idle_timeout=300)
    async with run_service(settings, patient) as running, httpx2.AsyncClient(base_url=running.url) as client:
        ada = await join(client, running.services, "ada@example.com")
        await ada.upload_and_index("warranty.txt", TEXT.encode())
        asking = asyncio.create_task(ada.request("POST", "/v1/answers", json=QUESTION | {"stream": stream}))
        await asyncio.wait_for(provider.called.wait(), 60)
        asking.cancel()
        await asyncio.wait({asking})
        await asyncio.wait_for(provider.client_left.wait(), 60)
        row = await running.usage()
    assert (row.endpoint, row.finish_reason) == ("answers", "cancelled")


@pytest.mark.parametrize(
    "change",
    [{"question": ""}, {"question": "x" * 4001}, {"top_k": 0}, {"top_k": 51}, {"surprise": 1}, {"question": "a\0b"}],
)
async def test_bad_requests_are_refused(ada: Person, change: dict[str, object]) -> None:
    assert (await ada.request("POST", "/v1/answers", json=QUESTION | change)).status_code == 422
