"""Provider faults: the caller's client raises the right error, and usage records show what was delivered."""

import asyncio

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from app.settings import Settings
from tests.chat.fake_provider import PATIENCE, PROVIDER_SAYS, FakeProvider
from tests.chat.service import PROVIDERS, Provider, RunningService, provider_settings, run_service

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How long is the warranty?"}]
QUESTION_TOKENS = 7  # estimated from the characters of the question
ANSWER_TOKENS = 5  # estimated from the characters of the two words that arrive

either = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
both = pytest.mark.parametrize("kind", PROVIDERS)


@both
@pytest.mark.parametrize(
    ("model", "raised"),
    [
        ("status-400", (openai.BadRequestError, 400, "refused_by_model")),
        ("status-401", (openai.InternalServerError, 502, "service_refused")),
        ("status-429", (openai.InternalServerError, 503, "provider_busy")),
        ("status-500", (openai.InternalServerError, 503, "unavailable")),
        ("status-529", (openai.InternalServerError, 503, "unavailable")),
    ],
)
@either
async def test_a_refusal_before_the_first_word_keeps_its_status(
    service: RunningService,
    provider: FakeProvider,
    raised: tuple[type[openai.APIStatusError], int, str],
    *,
    stream: bool,
) -> None:
    async with service.client() as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="default", messages=HELLO, stream=stream)
    assert (type(caught.value), caught.value.status_code, caught.value.code) == raised
    assert caught.value.response.headers["x-request-id"]
    assert PROVIDER_SAYS not in caught.value.message
    assert len(provider.calls) == 1
    row = await service.usage()
    assert (row.finish_reason, row.input_tokens, row.output_tokens) == ("failed", 0, 0)


@both
@pytest.mark.parametrize("model", ["cuts", "garbled", "unfinished", "breaks"])
async def test_a_failure_after_the_first_word_is_an_error_and_never_an_end(
    service: RunningService, provider: FakeProvider
) -> None:
    seen: list[str] = []

    async def read(client: openai.AsyncOpenAI) -> None:
        async for chunk in await client.chat.completions.create(model="default", messages=HELLO, stream=True):
            assert chunk.choices[0].finish_reason is None
            seen.append(chunk.choices[0].delta.content or "")

    async with service.client() as client:
        with pytest.raises(openai.APIError) as caught:
            await read(client)
    assert "".join(seen).startswith("Twenty-four months ")
    assert PROVIDER_SAYS not in str(caught.value)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["type"] == "server_error"
    assert len(provider.calls) == 1
    row = await service.usage()
    assert (row.finish_reason, row.estimated, row.input_tokens) == ("failed", True, QUESTION_TOKENS)
    assert row.output_tokens >= ANSWER_TOKENS


@both
@pytest.mark.parametrize("model", ["cuts", "garbled", "unfinished", "breaks"])
async def test_a_failure_in_the_middle_of_a_whole_answer_is_an_error_of_the_server(service: RunningService) -> None:
    async with service.client() as client:
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="default", messages=HELLO)


@both
async def test_a_provider_that_is_silent_for_too_long_is_given_up(
    settings: Settings, provider: FakeProvider, kind: Provider
) -> None:
    impatient = provider_settings(provider, kind, "mute", **PATIENCE["mute"])
    async with run_service(settings, impatient) as service, service.client() as client:
        with pytest.raises(openai.InternalServerError) as caught:
            await client.chat.completions.create(model="default", messages=HELLO)
        assert (caught.value.status_code, caught.value.code) == (504, "upstream_timeout")
    await asyncio.wait_for(provider.client_left.wait(), 10)


@both
@pytest.mark.parametrize("model", ["slow"])
@pytest.mark.usefixtures("first_bytes_soon")
async def test_the_first_bytes_do_not_wait_for_the_first_word(service: RunningService, provider: FakeProvider) -> None:
    async with service.client() as client:
        stream = await client.chat.completions.create(model="default", messages=HELLO, stream=True)
        first = await anext(stream)
        assert first.choices[0].delta.role == "assistant"
        assert not provider.go.is_set()
        provider.go.set()
        assert [chunk async for chunk in stream][-1].choices[0].finish_reason == "stop"


@both
@pytest.mark.parametrize("model", ["stalls"])
async def test_a_client_that_leaves_a_stream_ends_the_call_and_pays_for_what_it_got(
    service: RunningService, provider: FakeProvider
) -> None:
    async with service.client() as client:
        stream = await client.chat.completions.create(model="default", messages=HELLO, stream=True)
        async for chunk in stream:
            if "months" in (chunk.choices[0].delta.content or ""):
                break
        await stream.close()
    await asyncio.wait_for(provider.client_left.wait(), 10)
    row = await asyncio.wait_for(service.usage(), 10)
    assert (row.finish_reason, row.estimated) == ("cancelled", True)
    assert (row.input_tokens, row.output_tokens) == (QUESTION_TOKENS, ANSWER_TOKENS)
    assert row.first_token_seconds is not None


@both
@pytest.mark.parametrize("model", ["mute"])
@pytest.mark.usefixtures("first_bytes_soon")
@either
async def test_a_client_that_leaves_before_the_first_word_ends_the_call(
    service: RunningService, provider: FakeProvider, *, stream: bool
) -> None:
    async with httpx2.AsyncClient() as client:
        headers = {"Authorization": f"Bearer {service.key}"}
        body = {"model": "default", "messages": HELLO, "stream": stream}
        asking = asyncio.create_task(
            client.post(f"{service.url}/v1/chat/completions", json=body, headers=headers, timeout=60)
        )
        await asyncio.wait_for(provider.called.wait(), 10)
        asking.cancel()
        await asyncio.wait_for(provider.client_left.wait(), 10)
        with pytest.raises(asyncio.CancelledError):
            await asking
    row = await asyncio.wait_for(service.usage(), 10)
    assert (row.finish_reason, row.output_tokens, row.first_token_seconds) == ("cancelled", 0, None)
