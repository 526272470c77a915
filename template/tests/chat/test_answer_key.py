"""Cache keys: a cached answer is reused only by its owner, and only for exactly the same request."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.auth.caller import Caller
from app.chat.answer_cache import answer_key
from app.chat.ports import (
    JsonSchema,
    LanguageModel,
    Message,
    ModelRequest,
    NamedTool,
    Source,
    Tool,
    ToolCall,
)
from app.guardrails.settings import GuardrailSettings
from app.payloads import DEEPEST
from tests.answers.fakes import FakeLanguageModel

ADA = Caller(UUID(int=1))
REQUEST = ModelRequest([Message("system", "Be brief."), Message("user", "How long is the warranty?")])
WEATHER = Tool("weather", parameters={"type": "object", "properties": {"city": {}, "day": {}}})
TURNED = Tool("weather", parameters={"type": "object", "properties": {"day": {}, "city": {}}})
# Values that each differ from the request above, and from one another, in one respect.
OTHERS: dict[str, list[Any]] = {
    "messages": [
        [],
        REQUEST.messages[1:],
        [*REQUEST.messages, Message("user", "")],
        list(reversed(REQUEST.messages)),
        [Message("user", "Be brief."), REQUEST.messages[1]],
        [REQUEST.messages[0], Message("user", "How long is the warranty? ")],
        [REQUEST.messages[0], Message("user", "how long is the warranty?")],
        [Message("system", "Be brief.How long"), Message("user", " is the warranty?")],
        [*REQUEST.messages, Message("assistant", "", [ToolCall("1", "weather", "{}")])],
        [*REQUEST.messages, Message("assistant", "", [ToolCall("1", "weather", "{} ")])],
        [*REQUEST.messages, Message("tool", "", tool_call_id="1")],
        [*REQUEST.messages, Message("tool", "", tool_call_id="2")],
    ],
    "sources": [[Source(1, "24 months")], [Source(2, "24 months")]],
    "max_tokens": [1, 1023],
    "temperature": [0.0, 0.1, 1.0],
    "top_p": [0.0, 0.5],
    "presence_penalty": [0.0, 0.5],
    "frequency_penalty": [0.0, 0.5],
    "seed": [0, 1],
    "stop": [["."], [".", "!"], ["!", "."], [".!"]],
    "response_format": ["json_object", JsonSchema("a", {}), JsonSchema("b", {}), JsonSchema("a", {}, strict=True)],
    "tools": [[WEATHER], [TURNED], [WEATHER, WEATHER], [replace(WEATHER, strict=True)]],
    "tool_choice": ["auto", "none", NamedTool("auto")],
    "parallel_tool_calls": [True, False],
    "deadline": [1.0],
}


def key(
    request: ModelRequest = REQUEST,
    alias: str = "default",
    model: LanguageModel | None = None,
    checks: Mapping[str, Any] | None = None,
    caller: Caller = ADA,
) -> str:
    return answer_key(request, alias=alias, model=model or FakeLanguageModel(), checks=checks or {}, caller=caller)


def test_the_same_request_of_the_same_owner_has_the_same_key() -> None:
    again = ModelRequest([Message("system", "Be brief."), Message("user", "How long is the warranty?")])
    assert key() == key(again, caller=Caller(ADA.id, key_id=uuid4()))


def test_owners_never_share_a_key() -> None:
    other = Caller(UUID(int=2))
    assert key() != key(caller=other)
    # The checksums differ too, so one owner's questions cannot be recognised in another's keys.
    assert key().partition(":")[2] != key(caller=other).partition(":")[2]


def test_a_key_says_whose_answer_it_is_and_nothing_of_what_was_asked() -> None:
    owner, _, checksum = key().partition(":")
    assert owner == str(ADA.id)
    assert len(bytes.fromhex(checksum)) == 32


def test_the_cases_below_know_every_field_of_a_request() -> None:
    assert OTHERS.keys() == {field.name for field in fields(ModelRequest)}


@pytest.mark.parametrize("name", OTHERS)
def test_whatever_differs_makes_another_key(name: str) -> None:
    keys = {key(), *(key(replace(REQUEST, **{name: other})) for other in OTHERS[name])}
    assert len(keys) == 1 + len(OTHERS[name])


def test_the_name_and_the_chain_behind_it_make_another_key() -> None:
    one, two = FakeLanguageModel(name="a:b"), FakeLanguageModel(name="a:c")
    chains = [
        one,
        two,
        FakeLanguageModel(name="a:b", fallbacks=["a:c"]),
        FakeLanguageModel(name="a:c", fallbacks=["a:b"]),
    ]
    keys = {key(model=model, alias=alias) for model in chains for alias in ("default", "fast")}
    assert len(keys) == 8


def test_a_schema_may_be_as_deep_as_requests_may_bring_it() -> None:
    schemas: list[dict[str, Any]] = [{}, {"x": 1}]
    for _ in range(DEEPEST - 1):
        schemas = [{"x": schema} for schema in schemas]
    keys = {key(replace(REQUEST, tools=[Tool("weather", parameters=schema)])) for schema in schemas}
    assert len(keys) == 2


def test_other_guardrails_make_another_key() -> None:
    strict = GuardrailSettings(banned_phrases=["24 months"])
    plain = GuardrailSettings()
    assert key(checks=plain.model_dump(mode="json")) != key(checks=strict.model_dump(mode="json"))
