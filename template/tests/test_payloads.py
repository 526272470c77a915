"""Tests that a hostile body costs little: rules for the models, and hostile bodies for every path."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import httpx2
import pytest
from fastapi import params
from fastapi.routing import APIRoute
from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter, ValidationError, create_model

from app.answers.schemas import SearchCreate
from app.auth.caller import Scope
from app.bootstrap import Services
from app.main import FEATURES
from app.pages import Page
from app.payloads import Moment, Payload
from tests.http import join

MANY = 2000
# The limit for the answer to any body.
FEW_BYTES = 20_000
DEEPEST = 6
COLLECTIONS = {"list", "tuple", "set", "frozenset", "deque", "dict", "generator", "typed-dict", "dataclass"}
ANYTHING, NAME = {"type": "any"}, {"type": "str"}
MOMENT = TypeAdapter(Moment).core_schema
PLACES = {"name": "shapes", "version": "1"} | dict.fromkeys(
    ["conversation_id", "document_id", "review_id"], str(UUID(int=0))
)
# The first answers for each part of its body, the second ignores unknown fields.
FORGIVING = {"/v1/chat/batch", "/v2/repository/index"}
HOSTILE: dict[str, Any] = {
    "wrong elements": [1] * MANY,
    "empty elements": [{}] * MANY,
    "texts": ["x"] * MANY,
    "lists": [[]] * MANY,
    "unknown fields": {f"unknown {number}": number for number in range(MANY)},
    "a long name": {"x" * 100_000: 1},
    "a long text": "x" * 100_000,
}
TEXT = {"text": "x", "model": "default"}
CHAT = {"model": "default", "messages": [{"role": "user", "content": "x"}], "temperature": 0}
# Each place that takes arbitrary JSON: the path, and a function that puts a value into a body.
ANYWHERE: dict[str, tuple[str, Callable[[object], dict[str, Any]]]] = {
    "extraction": ("/v1/extractions", lambda deep: TEXT | {"schema": {"type": "object", "default": deep}}),
    "batch": ("/v1/extractions/batch", lambda deep: {"items": ["x"], "schema": {"type": "object", "default": deep}}),
    "tool": (
        "/v1/chat/completions",
        lambda deep: CHAT | {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"x": deep}}}]},
    ),
    "shape": (
        "/v1/chat/completions",
        lambda deep: (
            CHAT | {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"x": deep}}}}
        ),
    ),
    "correction": ("/v1/reviews/{review_id}/correct", lambda deep: {"version": 1, "result": [deep]}),
}


def nested(levels: int) -> object:
    value: object = [0]
    for level in range(levels - 1):
        value = [value] if level % 2 else {"x": value}
    return value


def payloads() -> Iterator[type[BaseModel]]:
    """Yield the models of all request bodies, validated by the framework or by hand."""
    for route in [route for feature in FEATURES for route in feature.router.routes if isinstance(route, APIRoute)]:
        if route.body_field and not isinstance(route.body_field.field_info, params.Form):
            body = route.body_field.field_info.annotation
            assert isinstance(body, type), route.path
            assert issubclass(body, BaseModel), route.path
            yield body
    waiting = Payload.__subclasses__()
    while waiting:
        body = waiting.pop()
        waiting.extend(body.__subclasses__())
        yield body


def parts(schema: object) -> Iterator[dict[str, Any]]:
    """Yield the nodes of a validator's schema."""
    if isinstance(schema, dict):
        if isinstance(schema.get("type"), str):
            yield schema
        for name in schema.keys() - {"metadata", "serialization"}:
            yield from parts(schema[name])
    elif isinstance(schema, list | tuple):
        for part in schema:
            yield from parts(part)


def faults(body: type[BaseModel]) -> Iterator[dict[str, Any]]:
    """Yield parts that can cause thousands of errors, or accept a time that the database cannot store."""
    every = list(parts(body.__pydantic_core_schema__))
    moments = [id(part["schema"]) for part in every if part == MOMENT]
    for part in every:
        is_foreign = part["type"] == "model" and not issubclass(part["cls"], Payload)
        is_endless = part["type"] in COLLECTIONS and not holds_anything(part) and not is_bounded(part)
        if is_foreign or is_endless or (part["type"] == "datetime" and id(part) not in moments):
            yield part


def holds_anything(part: Mapping[str, Any]) -> bool:
    if part["type"] == "dict":
        return part.get("values_schema") == ANYTHING and part.get("keys_schema") == NAME
    return part.get("items_schema") == ANYTHING


def is_bounded(part: Mapping[str, Any]) -> bool:
    return bool(part.get("fail_fast")) and "max_length" in part


def wrong(schema: Mapping[str, Any], value: object, depth: int, known: Mapping[str, Any]) -> object:
    """Return a body that follows the schema down to a depth and has the value below it."""
    if "$ref" in schema:
        return wrong(known[schema["$ref"].rpartition("/")[2]], value, depth, known)
    if depth == 0:
        return value
    if "properties" in schema:
        return {name: wrong(part, value, depth - 1, known) for name, part in schema["properties"].items()}
    if "items" in schema:
        return [wrong(schema["items"], value, depth - 1, known)]
    branches = schema.get("anyOf") or schema.get("oneOf") or []
    structured = [each for each in branches if each.keys() & {"$ref", "items", "oneOf"}]
    return wrong(structured[-1], value, depth, known) if structured else value


def hostile_requests(document: Mapping[str, Any]) -> Iterator[tuple[str, str, bytes]]:
    """Yield requests to every operation that takes JSON."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" not in content:
                continue
            schema = content["application/json"]["schema"]
            known = document["components"]["schemas"] | schema.get("$defs", {})
            bodies = [wrong(schema, value, depth, known) for value in HOSTILE.values() for depth in range(DEEPEST + 1)]
            for body in {json.dumps(each) for each in bodies}:
                yield method, path, body.encode()


@pytest.mark.parametrize("body", sorted(set(payloads()), key=str), ids=lambda body: body.__name__)
def test_no_body_can_make_thousands_of_errors(body: type[BaseModel]) -> None:
    assert list(faults(body)) == []


@pytest.mark.parametrize(
    "part",
    [
        list[int],
        dict[str, str],
        Annotated[set[str], Field(max_length=9)],
        Annotated[list[int], Field(fail_fast=True)] | None,
        datetime,
        AwareDatetime,
        Page[int],
    ],
    ids=str,
)
def test_the_check_finds_bodies_with_unbounded_errors(part: Any) -> None:  # noqa: ANN401 - whatever can be annotated
    body: type[BaseModel] = create_model("Body", __base__=Payload, part=(part, ...))
    assert list(faults(body))


async def test_a_hostile_body_is_refused_in_a_few_words(client: httpx2.AsyncClient, services: Services) -> None:
    ada = await join(client, services, "ada@example.com", *Scope)
    document = (await client.get("/openapi.json")).json()
    paths = set()
    for method, path, body in hostile_requests(document):
        paths.add(path)
        options = {"content": body, "headers": {"Content-Type": "application/json"}}
        response = await ada.request(method, path.format_map(PLACES), **options)
        assert 400 <= response.status_code < 500 or path in FORGIVING, (path, body[:200])
        assert len(response.content) < FEW_BYTES, (path, body[:200])
    assert {"/v1/auth/keys", "/v1/detections", "/v1/search", "/v2/models/{name}/infer"} | FORGIVING <= paths


@pytest.mark.parametrize("place", ANYWHERE)
@pytest.mark.parametrize("levels", [200, 600])
async def test_what_is_nested_too_deep_is_refused(
    client: httpx2.AsyncClient, services: Services, place: str, levels: int
) -> None:
    ada = await join(client, services, "ada@example.com", *Scope)
    path, body = ANYWHERE[place]
    refused = await ada.request("POST", path.format_map(PLACES), json=body(nested(levels)))
    assert 400 <= refused.status_code < 500
    assert "nested deeper than 200 levels" in refused.text
    assert len(refused.content) < FEW_BYTES
    taken = await ada.request("POST", path.format_map(PLACES), json=body(nested(199)))
    assert taken.status_code < 500
    assert "nested" not in taken.text


def test_the_first_of_thousands_of_unknown_fields_is_named() -> None:
    with pytest.raises(ValidationError) as refused:
        SearchCreate.model_validate({"query": "x"} | HOSTILE["unknown fields"])
    assert [(each["loc"], each["msg"]) for each in refused.value.errors()] == [
        ((), "Value error, 2,001 fields are too many; 'unknown 0' is not known here")
    ]


async def test_of_many_mistakes_the_first_twenty_are_told(client: httpx2.AsyncClient, services: Services) -> None:
    ada = await join(client, services, "ada@example.com")
    body = {f"unknown {number}": number for number in range(22)}
    problem = (await ada.request("POST", "/v1/search", json=body)).json()
    assert [each["location"] for each in problem["errors"]] == [
        "body.query",
        *(f"body.unknown {number}" for number in range(19)),
    ]
