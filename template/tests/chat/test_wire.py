"""Chat completions on the wire, as `curl -N` shows them, and the requests that are refused."""

import json
from io import StringIO
from typing import Any

import httpx2
import pytest

from app.adapters.language_model import LanguageModelSettings
from app.auth.caller import Scope
from app.bootstrap import Services
from app.observability.logging import LoggingSettings, configure_logging
from app.settings import Settings
from tests.chat.service import PROVIDER_KEY, RunningService, run_service
from tests.http import Person, join

JSON = {"Content-Type": "application/json"}
PATH = "/v1/chat/completions"
GIVEN = "The warranty lasts 24 months from the date of purchase. Returns are free for 30 days."
QUESTION = {"model": "default", "messages": [{"role": "user", "content": f"{GIVEN} How long does the warranty last?"}]}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
HALF = CALL | {"function": {"name": "f", "arguments": "half \ud83d"}}
QUOTED = "The warranty lasts 24 months from the date of purchase."


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


async def post_chat(service: RunningService, body: dict[str, Any]) -> tuple[httpx2.Headers, bytes]:
    headers = {"Authorization": f"Bearer {service.key}"}
    async with (
        httpx2.AsyncClient() as client,
        client.stream("POST", service.url + PATH, json=body, headers=headers, timeout=60) as response,
    ):
        return response.headers, await response.aread()


async def test_a_stream_is_lines_of_data_and_ends_with_done(service: RunningService) -> None:
    body = QUESTION | {"stream": True, "stream_options": {"include_usage": True}}
    headers, content = await post_chat(service, body)
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-cache"
    assert headers["x-request-id"]
    blocks = content.split(b"\n\n")
    assert blocks[-2:] == [b"data: [DONE]", b""]
    chunks = [json.loads(block.removeprefix(b"data: ")) for block in blocks[:-2]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[0]["choices"] == [
        {
            "index": 0,
            "delta": {"role": "assistant", "content": "", "refusal": None},
            "logprobs": None,
            "finish_reason": None,
        }
    ]
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 18)
    assert (chunks[-2]["choices"][0]["delta"], chunks[-2]["choices"][0]["finish_reason"]) == ({}, "stop")
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


@pytest.mark.parametrize("model", ["steady", "status-400", "breaks"])
async def test_neither_what_is_asked_nor_a_key_is_logged(service: RunningService) -> None:
    written = StringIO()
    configure_logging(LoggingSettings(), written)
    for stream in (False, True):
        await post_chat(service, QUESTION | {"stream": stream})
    logged = written.getvalue()
    assert "request.served" in logged
    for secret in ("warranty", service.key, PROVIDER_KEY):
        assert secret not in logged


@pytest.mark.parametrize("model", ["cuts"])
async def test_a_broken_stream_ends_with_an_error_and_without_done(service: RunningService) -> None:
    _, content = await post_chat(service, QUESTION | {"stream": True})
    *_, last, empty = content.split(b"\n\n")
    assert empty == b""
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["type"], error["code"]) == ("server_error", "broken_off")
    assert b"[DONE]" not in content


async def test_without_a_provider_the_text_of_the_conversation_is_quoted(settings: Settings) -> None:
    async with run_service(settings, LanguageModelSettings()) as service:
        _, content = await post_chat(service, QUESTION)
        answer = json.loads(content)
        _, streamed = await post_chat(service, QUESTION | {"stream": True})
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": QUOTED, "refusal": None}
    assert answer["model"] == "offline:extractive"
    assert answer["usage"]["completion_tokens"] > 0
    chunks = [json.loads(block.removeprefix(b"data: ")) for block in streamed.split(b"\n\n")[:-2]]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == QUOTED


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"functions": [{"name": "old"}]}, "functions"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"parallel_tool_calls": True}, "parallel_tool_calls"),
        ({"max_tokens": 1_000_000}, "max_tokens"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x"}}]}]}, None),
        ({"messages": [{"role": "tool", "content": "Rain", "tool_call_id": "call_1"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "tool", "content": "Rain"}]}, "messages[0].tool_call_id"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "Hi", "name": "Ada"}]}, "messages[0].name"),
        ({"messages": []}, "messages"),
        ({"temperature": 3}, "temperature"),
        ({"messages": "Hello"}, "messages"),
        ({"surprise": {"\ud800": 1}, "\udfff": 1}, None),
        ({"messages": [{"role": "user", "content": "half \ud83d"}]}, None),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "half \ud83d"}]}]}, None),
        ({"messages": [{"role": "assistant", "tool_calls": [HALF]}]}, None),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "description": "\ud83d"}}]},
            "tools.0.function.description",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": ""}] * 6000}] * 2}, None),
        ({"messages": [{"role": "assistant", "tool_calls": [CALL] * 101}] * 100}, None),
    ],
)
async def test_what_is_not_offered_is_refused_in_the_shape_that_clients_know(
    ada: Person, change: dict[str, object], param: str | None
) -> None:
    response = await ada.request("POST", PATH, content=json.dumps(QUESTION | change), headers=JSON)
    assert (response.status_code, response.headers["content-type"]) == (400, "application/json")
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert param is None or error["param"] == param
    assert response.headers["x-request-id"]


@pytest.mark.parametrize(
    "harmless",
    [{"n": 1, "logprobs": False, "store": None, "functions": []}, {"modalities": ["text"], "service_tier": "auto"}],
)
async def test_asking_for_what_happens_anyway_is_no_fault(ada: Person, harmless: dict[str, object]) -> None:
    assert (await ada.request("POST", PATH, json=QUESTION | harmless)).status_code == 200


async def test_the_answer_stops_where_it_is_told_to(ada: Person) -> None:
    body = (await ada.request("POST", PATH, json=QUESTION | {"stop": [" from"]})).json()
    assert body["choices"][0]["message"]["content"] == "The warranty lasts 24 months"
    body = (await ada.request("POST", PATH, json=QUESTION | {"max_completion_tokens": 2})).json()
    assert (body["choices"][0]["message"]["content"], body["choices"][0]["finish_reason"]) == ("The warranty", "length")


async def test_an_unknown_model_is_a_404_that_names_the_known_ones(ada: Person) -> None:
    response = await ada.request("POST", PATH, json=QUESTION | {"model": "gpt-99"})
    assert response.status_code == 404
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")
    assert "default" in error["message"]


async def test_who_may_not_ask_is_told_in_the_same_shape(client: httpx2.AsyncClient, services: Services) -> None:
    nobody = await client.post(PATH, json=QUESTION)
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "unauthenticated")
    assert nobody.headers["www-authenticate"] == "Bearer"
    searcher = await join(client, services, "sam@example.com", Scope.SEARCH)
    for stream in (False, True):
        refused = await searcher.request("POST", PATH, json=QUESTION | {"stream": stream})
        assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error")
    chatter = await join(client, services, "cy@example.com", Scope.CHAT)
    assert (await chatter.request("POST", PATH, json=QUESTION)).status_code == 200


async def test_what_the_framework_refuses_has_the_same_shape(ada: Person) -> None:
    for method, path, status in [("GET", PATH, 405), ("POST", "/v1/models", 405)]:
        response = await ada.request(method, path)
        assert response.status_code == status
        assert response.json()["error"]["message"]
    broken = await ada.request("POST", PATH, content=b"{", headers=JSON)
    assert (broken.status_code, broken.json()["error"]["type"]) == (400, "invalid_request_error")
