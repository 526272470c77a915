"""OpenAI's unmodified client against the service: what it can request and what it returns."""

import asyncio
import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam, ChatCompletionToolParam
from pydantic import BaseModel

from tests.chat.fake_provider import CACHED_TOKENS, CALLS, INPUT_TOKENS, OUTPUT_TOKENS, WORDS, FakeProvider
from tests.chat.service import PROVIDERS, RunningService

ANSWER = "".join(WORDS)
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How long is the warranty?"}]
WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}

both = pytest.mark.parametrize("kind", PROVIDERS)


@both
async def test_an_answer_comes_whole(service: RunningService, kind: str) -> None:
    async with service.client() as client:
        answer = await client.chat.completions.create(model="default", messages=HELLO)
    [choice] = answer.choices
    assert (choice.message.role, choice.message.content, choice.finish_reason) == ("assistant", ANSWER, "stop")
    assert answer.model == f"{kind}:steady"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert answer.usage.total_tokens == INPUT_TOKENS + OUTPUT_TOKENS


@both
async def test_an_answer_comes_in_pieces_that_make_the_whole(service: RunningService, kind: str) -> None:
    async with service.client() as client:
        chunks = [
            chunk async for chunk in await client.chat.completions.create(model="default", messages=HELLO, stream=True)
        ]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert text_of(chunks) == ANSWER
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices[0].finish_reason] == ["stop"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].model == f"{kind}:steady"
    assert all(chunk.usage is None for chunk in chunks)


@both
@pytest.mark.parametrize("model", ["cached"])
async def test_the_usage_comes_last_if_it_is_asked_for(service: RunningService) -> None:
    async with service.client() as client:
        stream = await client.chat.completions.create(
            model="default", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    last = chunks[-1]
    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens) == (INPUT_TOKENS, OUTPUT_TOKENS)
    assert last.usage.prompt_tokens_details is not None
    assert last.usage.prompt_tokens_details.cached_tokens == CACHED_TOKENS
    assert all(chunk.usage is None for chunk in chunks[:-1])


@both
@pytest.mark.parametrize("model", ["calls"])
async def test_the_model_asks_for_functions_to_be_called(service: RunningService) -> None:
    async with service.client() as client:
        answer = await client.chat.completions.create(model="default", messages=HELLO, tools=[WEATHER])
        [choice] = answer.choices
        assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
        calls = [call for call in choice.message.tool_calls or [] if call.type == "function"]
        assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
            (call_id, name, arguments or "{}") for call_id, name, arguments in CALLS
        ]
        async with client.chat.completions.stream(model="default", messages=HELLO, tools=[WEATHER]) as stream:
            streamed = await stream.get_final_completion()
    assert streamed.choices[0].finish_reason == "tool_calls"
    again = [call.function for call in streamed.choices[0].message.tool_calls or []]
    assert [(function.name, json.loads(function.arguments)) for function in again] == [
        (name, json.loads(arguments or "{}")) for _, name, arguments in CALLS
    ]


@both
async def test_an_answer_of_the_sdk_can_be_sent_back_with_the_results_of_its_calls(
    service: RunningService, provider: FakeProvider
) -> None:
    history: list[Any] = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [CALL]}]
    history.append({"role": "tool", "tool_call_id": "call_1", "content": "Rain"})
    async with service.client() as client:
        answer = await client.chat.completions.create(model="default", messages=history, tools=[WEATHER])
        # The SDK's own object, with all its empty fields.
        history.append(answer.choices[0].message)
        history.append(
            {"role": "user", "content": [{"type": "text", "text": "And "}, {"type": "text", "text": "now?"}]}
        )
        await client.chat.completions.create(model="default", messages=history, tools=[WEATHER])
    sent = str(provider.calls[-1].body["messages"])
    for words in ("Rain", ANSWER, "And now?"):
        assert words in sent


CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'}}


async def test_every_parameter_reaches_the_provider(service: RunningService, provider: FakeProvider) -> None:
    async with service.client() as client:
        await client.chat.completions.create(
            model="openai:steady",
            messages=[{"role": "developer", "content": "Be brief."}, *HELLO],
            temperature=0.2,
            top_p=0.9,
            seed=7,
            stop=["END"],
            max_completion_tokens=99,
            presence_penalty=0.1,
            frequency_penalty=0.2,
            response_format={"type": "json_object"},
            tools=[WEATHER],
            tool_choice={"type": "function", "function": {"name": "get_weather"}},
            parallel_tool_calls=False,
            n=1,
            user="somebody",
            metadata={"purpose": "test"},
            store=False,
        )
    body = provider.calls[-1].body
    assert (body["temperature"], body["top_p"], body["seed"], body["stop"]) == (0.2, 0.9, 7, ["END"])
    assert 99 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert (body["presence_penalty"], body["frequency_penalty"]) == (0.1, 0.2)
    assert body["response_format"] == {"type": "json_object"}
    assert body["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}
    assert body["tools"] == [WEATHER]
    assert body["parallel_tool_calls"] is False


class Weather(BaseModel):
    """A model that the SDK converts to a JSON Schema."""

    city: str
    degrees: float


async def test_a_schema_of_the_sdk_reaches_the_provider_as_it_is(
    service: RunningService, provider: FakeProvider
) -> None:
    async with service.client() as client:
        # The fake provider answers in words, which the SDK cannot parse; only the request matters here.
        with pytest.raises(ValueError, match="Weather"):
            await client.chat.completions.parse(model="default", messages=HELLO, response_format=Weather)
    form = provider.calls[-1].body["response_format"]["json_schema"]
    assert (form["name"], form["strict"]) == ("Weather", True)
    assert form["schema"]["required"] == ["city", "degrees"]


async def test_the_client_without_async_does_the_same(service: RunningService) -> None:
    def ask() -> tuple[str | None, str]:
        with openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.key, max_retries=0) as client:
            whole = client.chat.completions.create(model="default", messages=HELLO)
            with client.chat.completions.create(model="default", messages=HELLO, stream=True) as stream:
                return whole.choices[0].message.content, text_of(list(stream))

    assert await asyncio.to_thread(ask) == (ANSWER, ANSWER)


async def test_the_list_of_models_has_every_name_that_is_answered_to(service: RunningService) -> None:
    async with service.client() as client:
        names = [model.id async for model in client.models.list()]
        assert {"default", "openai:steady", "steady"} <= set(names)
        for name in ("default", "openai:steady", "steady"):
            assert (await client.models.retrieve(name)).owned_by == "openai"
            assert (await client.chat.completions.create(model=name, messages=HELLO)).model == "openai:steady"
        with pytest.raises(openai.NotFoundError) as caught:
            await client.models.retrieve("org/none")
        assert caught.value.code == "model_not_found"


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
