"""Tests of the requests sent to each provider: options are translated, and unsupported ones are rejected by name."""

import json
from dataclasses import replace
from typing import Any

import pytest

from app.chat.ports import (
    Finished,
    JsonSchema,
    Message,
    ModelRequest,
    NamedTool,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
    Usage,
)
from app.errors import UnsupportedParameterError
from tests.adapters.test_language_model import PROVIDERS, Provider, ask, open_model, settings_for
from tests.chat.fake_provider import (
    CACHED_TOKENS,
    CALLS,
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    FakeProvider,
)

# A schema that some libraries would rewrite.
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "default": "Oslo"}},
    "title": "Weather",
    "$defs": {},
}
WEATHER = Tool("get_weather", "Tells the weather.", SCHEMA, strict=True)
TIME = Tool("get_time")
HELLO = [Message("user", "Hello")]


async def sent(provider: FakeProvider, kind: Provider, request: ModelRequest, model: str = "steady") -> dict[str, Any]:
    """Ask, and return the request that the provider received."""
    async with open_model(settings_for(provider, kind, model)) as opened:
        assert [event async for event in opened.stream(request)]
    return provider.calls[-1].body


async def test_openai_gets_every_setting(provider: FakeProvider) -> None:
    request = ModelRequest(
        HELLO,
        max_tokens=50,
        temperature=1.5,
        top_p=0.5,
        presence_penalty=-1,
        frequency_penalty=1,
        seed=7,
        stop=["END"],
        response_format=JsonSchema("weather", SCHEMA, "The weather.", strict=False),
        tools=[WEATHER, TIME],
        tool_choice="required",
        parallel_tool_calls=False,
    )
    body = await sent(provider, "openai", request)
    expected = {
        "temperature": 1.5,
        "top_p": 0.5,
        "presence_penalty": -1,
        "frequency_penalty": 1,
        "seed": 7,
        "stop": ["END"],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "weather", "schema": SCHEMA, "description": "The weather.", "strict": False},
        },
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "get_weather",
                    "description": "Tells the weather.",
                    "parameters": SCHEMA,
                    "strict": True,
                },
            },
            {"type": "function", "function": {"name": "get_time"}},
        ],
        "tool_choice": "required",
        "parallel_tool_calls": False,
    }
    assert {name: body[name] for name in expected} == expected


async def test_anthropic_gets_every_setting_that_it_has(provider: FakeProvider) -> None:
    request = ModelRequest(
        HELLO,
        max_tokens=50,
        temperature=0.5,
        top_p=0.9,
        stop=["END"],
        response_format=JsonSchema("weather", SCHEMA),
        tools=[WEATHER, TIME],
        tool_choice="required",
        parallel_tool_calls=False,
    )
    body = await sent(provider, "anthropic", request)
    expected = {
        "max_tokens": 50,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop_sequences": ["END"],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        "tools": [
            {"name": "get_weather", "description": "Tells the weather.", "input_schema": SCHEMA, "strict": True},
            {"name": "get_time", "input_schema": {"type": "object", "properties": {}}},
        ],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    }
    assert {name: body[name] for name in expected} == expected


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_what_nobody_asked_for_is_not_sent(provider: FakeProvider, kind: Provider) -> None:
    body = await sent(provider, kind, ModelRequest(HELLO))
    assert not body.keys() & {"temperature", "top_p", "seed", "stop", "tools", "tool_choice", "response_format"}


@pytest.mark.parametrize(
    ("choice", "openai", "anthropic"),
    [
        ("auto", "auto", {"type": "auto"}),
        ("none", "none", {"type": "none"}),
        ("required", "required", {"type": "any"}),
        (
            NamedTool("get_time"),
            {"type": "function", "function": {"name": "get_time"}},
            {"type": "tool", "name": "get_time"},
        ),
    ],
)
async def test_each_tool_choice_has_its_word(
    provider: FakeProvider, choice: ToolChoice, openai: object, anthropic: object
) -> None:
    request = ModelRequest(HELLO, tools=[TIME], tool_choice=choice)
    assert (await sent(provider, "openai", request))["tool_choice"] == openai
    assert (await sent(provider, "anthropic", request))["tool_choice"] == anthropic


async def test_openai_has_a_json_mode(provider: FakeProvider) -> None:
    body = await sent(provider, "openai", ModelRequest(HELLO, response_format="json_object"))
    assert body["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (ModelRequest(HELLO, seed=1), "seed"),
        (ModelRequest(HELLO, presence_penalty=1), "presence_penalty"),
        (ModelRequest(HELLO, frequency_penalty=1), "frequency_penalty"),
        (ModelRequest(HELLO, response_format="json_object"), "response_format"),
        (ModelRequest(HELLO, temperature=1.5), "temperature"),
    ],
)
async def test_what_anthropic_lacks_is_refused_and_not_sent(
    provider: FakeProvider, request_: ModelRequest, param: str
) -> None:
    with pytest.raises(UnsupportedParameterError) as caught:
        await sent(provider, "anthropic", request_)
    assert caught.value.param == param
    assert provider.calls == []


async def test_a_setting_that_a_model_is_known_to_ignore_is_refused(provider: FakeProvider) -> None:
    with pytest.raises(UnsupportedParameterError):
        await sent(provider, "anthropic", ModelRequest(HELLO, temperature=0.5), "claude-opus-5")


async def test_a_conversation_with_tools_reaches_openai(provider: FakeProvider) -> None:
    body = await sent(provider, "openai", ModelRequest(CONVERSATION, tools=[WEATHER]))
    roles = [message["role"] for message in body["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool", "assistant", "user"]
    calls = body["messages"][2]["tool_calls"]
    assert [(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls] == [
        ("a", "get_weather", {"city": "Oslo"}),
        ("b", "get_weather", {"city": "Rome"}),
    ]
    results = [(message["tool_call_id"], message["content"]) for message in body["messages"][3:5]]
    assert results == [("a", "Rain"), ("b", "Sun")]


async def test_a_conversation_with_tools_reaches_anthropic(provider: FakeProvider) -> None:
    body = await sent(provider, "anthropic", ModelRequest(CONVERSATION, tools=[WEATHER]))
    assert "Be brief." in str(body["system"])
    asked = [block for block in body["messages"][1]["content"] if block["type"] == "tool_use"]
    assert [(block["id"], block["input"]) for block in asked] == [("a", {"city": "Oslo"}), ("b", {"city": "Rome"})]
    results = [block for block in body["messages"][2]["content"] if block["type"] == "tool_result"]
    assert [block["tool_use_id"] for block in results] == ["a", "b"]
    assert "Rain" in str(results[0]["content"])


CONVERSATION = [
    Message("system", "Be brief."),
    Message("user", "Weather?"),
    Message(
        "assistant",
        "",
        [ToolCall("a", "get_weather", '{"city": "Oslo"}'), ToolCall("b", "get_weather", '{"city": "Rome"}')],
    ),
    Message("tool", "Rain", tool_call_id="a"),
    Message("tool", "Sun", tool_call_id="b"),
    Message("assistant", "Rain and sun."),
    Message("user", "Thanks"),
]


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_tool_calls_come_in_pieces_that_make_the_whole(provider: FakeProvider, kind: Provider) -> None:
    async with open_model(settings_for(provider, kind, "calls")) as model:
        events = [event async for event in model.stream(ModelRequest(HELLO, tools=[WEATHER, TIME]))]
    *pieces, end = events
    assert isinstance(end, Finished)
    assert end.reason == "tool_calls"
    for index, (call_id, name, arguments) in enumerate(CALLS):
        mine = [piece for piece in pieces if isinstance(piece, ToolCallDelta) and piece.index == index]
        assert (mine[0].id, mine[0].name) == (call_id, name)
        assert all(piece.id is None and piece.name is None for piece in mine[1:])
        assert "".join(piece.arguments for piece in mine) == (arguments or "{}")


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_cached_tokens_are_among_the_input_tokens(provider: FakeProvider, kind: Provider) -> None:
    _, end = await ask(settings_for(provider, kind, "cached"), replace(ModelRequest(HELLO), max_tokens=5))
    assert end.usage == Usage(INPUT_TOKENS, OUTPUT_TOKENS, CACHED_TOKENS)
