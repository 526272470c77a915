"""Tests that large JSON bodies are rejected by the number of their values before they are parsed."""

import json
import math
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest

from app.auth.caller import Scope
from app.bootstrap import Services
from app.inference.token_input import MAX_TOTAL_TOKENS
from app.json_limits import MOST_MARKS, count_marks
from app.main import JSON_BYTES, JSON_BYTES_OF
from tests.http import Person, join

CHUNK = 65_536  # the size of the server's body chunks
DIGITS = 640

PATHS = {
    "/v1/embeddings": '{"model": "static-minilm", "input": …}',
    "/v1/rerank": '{"query": "a", "documents": …}',
    "/v1/classifications": '{"model": "a", "labels": ["a", "b"], "input": …}',
    "/v1/chat/completions": '{"model": "default", "messages": [{"role": "user", "content": …}]}',
    "/v1/extractions": '{"text": "a", "schema": {"type": "object", "properties": …}}',
    "/v1/detections": '{"image": …}',
    "/v1/search": '{"query": "a", "filter": {"tags": …}}',
    "/v2/models/static-minilm/infer": (
        '{"inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [1, 1], "data": …}]}'
    ),
    "/v2/repository/index": '{"ready": …}',
    "/mcp": '{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": …}',
}
PARTS = {
    "numbers": b"1",
    "lists": b"[]",
    "tokens": b"[%s]" % b",".join([b"12345"] * 250),
    "texts": b'"a"',
    "names": b'"%07d":1',
    "digits": b"9" * DIGITS,
}


def filled(kind: str, template: str, most_bytes: int, most_marks: float = math.inf) -> bytes:
    """Return a body with as many values as the limits allow."""
    around = "{…}" if kind == "names" else "[…]"
    head, tail = template.replace("…", around, 1).encode().split("…".encode())
    part = PARTS[kind]
    size = len(part % 0 if kind == "names" else part) + 1
    fitting = (most_bytes - len(head + tail)) // size
    number = int(min(fitting, (most_marks - count_marks(head + tail)) // count_marks(part + b",")))
    parts = [part % each for each in range(number)] if kind == "names" else [part] * number
    return head + b",".join(parts) + tail


class Sending:
    """A request body sent in chunks; `sent` counts the bytes that the service has read."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.sent = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks():
            self.sent += len(chunk)
            yield chunk

    def _chunks(self) -> Iterator[bytes]:
        for first in range(0, len(self._content), CHUNK):
            yield self._content[first : first + CHUNK]


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com", *Scope)


async def send(person: Person, path: str, body: Sending) -> int:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    return (await person.request("POST", path, content=aiter(body), headers=headers)).status_code


@pytest.mark.parametrize("path", PATHS)
async def test_as_much_as_the_limits_allow_is_let_through(ada: Person, path: str) -> None:
    for kind in PARTS:
        body = filled(kind, PATHS[path], JSON_BYTES_OF.get(path, JSON_BYTES), MOST_MARKS)
        assert await send(ada, path, Sending(body)) != 413, kind


@pytest.mark.parametrize("path", ["/v1/embeddings", "/v2/models/static-minilm/infer", "/v2/repository/index"])
async def test_a_body_of_too_many_values_is_refused_before_it_is_parsed(ada: Person, path: str) -> None:
    for kind in PARTS.keys() - {"digits"}:
        body = filled(kind, PATHS[path], JSON_BYTES)
        # Without its end it is invalid JSON, which a parser would have reported.
        assert await send(ada, path, Sending(body[:-1])) == 413, kind


async def test_the_rest_of_a_body_of_too_many_values_is_not_taken(ada: Person) -> None:
    body = Sending(filled("numbers", PATHS["/v1/embeddings"], JSON_BYTES))
    assert await send(ada, "/v1/embeddings", body) == 413
    assert body.sent < MOST_MARKS * len(b"1,") + 2 * CHUNK


async def test_as_many_tokens_as_a_request_may_have_are_let_through(ada: Person) -> None:
    rows = [[2000] * 150] * 2000
    body = {"model": "static-minilm", "input": rows}
    assert (await ada.request("POST", "/v1/embeddings", json=body)).status_code == 200
    assert sum(map(len, rows)) == MAX_TOTAL_TOKENS


async def test_a_long_text_is_let_through_and_a_table_of_numbers_is_not(ada: Person) -> None:
    picture = {"image": "A" * 9_000_000}
    assert (await ada.request("POST", "/v1/detections", json=picture)).status_code == 415
    tensor = {"name": "images", "datatype": "FP32", "shape": [1, 3, 400, 400], "data": [0] * 480_000}
    refused = await ada.request("POST", "/v2/models/shapes/infer", json={"inputs": [tensor]})
    assert (refused.status_code, "binary data" in refused.json()["error"]) == (413, True)


async def test_binary_data_after_the_json_may_hold_anything(ada: Person) -> None:
    content = b"," * (4 * 3 * 192 * 192)
    tensor = {"name": "images", "datatype": "FP32", "shape": [1, 3, 192, 192]}
    head = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(content)}}]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    answer = await ada.request("POST", "/v2/models/shapes/infer", content=head + content, headers=headers)
    assert answer.status_code == 200, answer.text
