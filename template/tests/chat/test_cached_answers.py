"""Cached answers over HTTP, as OpenAI's client and the usage records show them."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from app.auth.caller import ACCOUNT_SCOPES
from app.chat.settings import AnswerCacheSettings
from app.settings import Settings
from app.usage.settings import LimitsSettings, UsageSettings
from tests.chat.fake_provider import INPUT_TOKENS, OUTPUT_TOKENS, WORDS, FakeProvider
from tests.chat.service import PROVIDER_KEY, RunningService, provider_settings, run_process, run_service
from tests.usage.rows import count_reservations, read_rows

ANSWER = "".join(WORDS)
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How long is the warranty?"}]
CACHE = {"cache": {"ttl": 60}}
PRICES = {"steady": {"input": 1000, "output": 1000}}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"answer_cache": AnswerCacheSettings(max_ttl=600)})


async def ask(client: openai.AsyncOpenAI, **options: Any) -> tuple[str | None, str]:  # noqa: ANN401
    """Ask the question; return the source of the answer and its text."""
    asked: dict[str, Any] = {"model": "default", "messages": HELLO, "extra_body": CACHE} | options
    response = await client.chat.completions.with_raw_response.create(**asked)
    source, answer = response.headers.get("x-answer-cache"), response.parse()
    return source, await join_text(answer) if "stream" in options else answer.choices[0].message.content or ""


async def join_text(chunks: Any) -> str:  # noqa: ANN401 - the client's type for raw responses
    """Join the text of a stream."""
    return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
async def test_an_answer_comes_again_whole_and_in_pieces(service: RunningService, provider: FakeProvider) -> None:
    async with service.client() as client:
        assert await ask(client) == ("miss", ANSWER)
        assert await ask(client, extra_body={"cache": True}) == ("hit", ANSWER)
        assert await ask(client, stream=True) == ("hit", ANSWER)
    assert len(provider.calls) == 1


@pytest.mark.parametrize("model", ["calls"])
async def test_what_was_streamed_comes_again_with_usage_and_calls(
    service: RunningService, provider: FakeProvider
) -> None:
    async with service.client() as client:
        streams = []
        for _ in range(2):
            stream = await client.chat.completions.create(
                model="default",
                messages=HELLO,
                tools=[{"type": "function", "function": {"name": name}} for name in ("get_weather", "get_time")],
                stream=True,
                stream_options={"include_usage": True},
                extra_body=CACHE,
            )
            streams.append([chunk.model_dump(exclude={"id", "created"}) async for chunk in stream])
    assert streams[0] == streams[1]
    assert streams[1][-1]["usage"]["total_tokens"] == INPUT_TOKENS + OUTPUT_TOKENS
    assert len(provider.calls) == 1


async def test_nobody_is_given_what_somebody_else_was_told(service: RunningService, provider: FakeProvider) -> None:
    provider.answer = lambda _: f"Answer {len(provider.calls)}."
    eve = await service.services.auth.ensure_account("eve@example.com")
    key = await service.services.auth.create_key("test", ACCOUNT_SCOPES, caller=eve)
    async with service.client() as ada, ada.with_options(api_key=key.secret) as other:
        assert [await ask(ada), await ask(other)] == [("miss", "Answer 1."), ("miss", "Answer 2.")]
        assert [await ask(other), await ask(ada)] == [("hit", "Answer 2."), ("hit", "Answer 1.")]


async def test_another_question_gets_another_answer(service: RunningService, provider: FakeProvider) -> None:
    provider.answer = lambda _: f"Answer {len(provider.calls)}."
    async with service.client() as client:
        differences: list[dict[str, Any]] = [
            {},
            {"seed": 1},
            {"temperature": 0},
            {"max_tokens": 50},
            {"stop": ["."]},
            {"response_format": {"type": "json_object"}},
            {"model": "openai:steady"},
        ]
        answers = [await ask(client, **each) for each in differences]
    assert answers == [("miss", f"Answer {number}.") for number in range(1, 1 + len(differences))]


async def test_what_is_given_again_is_written_down_and_costs_nothing(
    settings: Settings, provider: FakeProvider
) -> None:
    priced = UsageSettings.model_validate({"prices": PRICES, "monthly_budget": "0.1"})
    limits = LimitsSettings(tokens_per_minute=100)
    settings = settings.model_copy(update={"usage": priced, "limits": limits})
    async with run_service(settings, provider_settings(provider, "openai", "steady")) as service:
        async with service.client() as client:
            # Each may use nearly the whole quota, so a second call to the model would be refused.
            answers = [await ask(client, max_tokens=90) for _ in range(3)]
            with pytest.raises(openai.RateLimitError):
                await ask(client, max_tokens=90, extra_body={"cache": False})
        database = service.services.ports.database
        rows = await read_rows(database)
        assert await count_reservations(database) == 0
    assert [source for source, _ in answers] == ["miss", "hit", "hit"]
    assert [(row.finish_reason, row.model, row.input_tokens, row.output_tokens) for row in rows] == [
        ("stop", "openai:steady", INPUT_TOKENS, OUTPUT_TOKENS),
        ("cached", "openai:steady", 0, 0),
        ("cached", "openai:steady", 0, 0),
    ]
    assert [row.cost for row in rows[1:]] == [0, 0]


async def test_what_is_given_again_costs_nothing_even_where_no_price_is_known(service: RunningService) -> None:
    async with service.client() as client:
        await ask(client)
        await ask(client)
    assert [row.cost for row in await read_rows(service.services.ports.database)] == [None, 0]


async def test_what_is_given_again_counts_as_a_request(settings: Settings, provider: FakeProvider) -> None:
    settings = settings.model_copy(update={"limits": LimitsSettings(requests_per_minute=2)})
    async with (
        run_service(settings, provider_settings(provider, "openai", "steady")) as service,
        service.client() as client,
    ):
        assert [(await ask(client))[0] for _ in range(2)] == ["miss", "hit"]
        with pytest.raises(openai.RateLimitError):
            await ask(client)


@pytest.mark.parametrize(
    ("cache", "param"),
    [({"ttl": 601}, "cache.ttl"), ({"ttl": 0}, "cache"), ({"until": 5}, "cache.until"), (5, "cache")],
)
async def test_what_cannot_be_is_refused_by_name(service: RunningService, cache: object, param: str) -> None:
    async with service.client() as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await ask(client, extra_body={"cache": cache})
    assert (caught.value.param or "").startswith(param)


@pytest.mark.parametrize("ask_for", [None, False])
async def test_a_service_that_keeps_nothing_says_so(
    settings: Settings, provider: FakeProvider, ask_for: object
) -> None:
    settings = settings.model_copy(update={"answer_cache": AnswerCacheSettings()})
    async with (
        run_service(settings, provider_settings(provider, "openai", "steady")) as service,
        service.client() as client,
    ):
        for wanted in (CACHE, {"cache": True}):
            with pytest.raises(openai.BadRequestError) as caught:
                await ask(client, extra_body=wanted)
            assert caught.value.param == "cache"
        assert await ask(client, extra_body={"cache": ask_for}) == (None, ANSWER)


@pytest.fixture
async def two_services(settings: Settings, provider: FakeProvider) -> AsyncIterator[list[RunningService]]:
    async with AsyncExitStack() as stack:
        model = provider_settings(provider, "openai", "slow")
        yield [await stack.enter_async_context(run_service(settings, model)) for _ in range(2)]


@pytest.mark.usefixtures("first_bytes_soon")
async def test_two_services_ask_the_model_once_for_all_streams(
    two_services: list[RunningService], provider: FakeProvider
) -> None:
    async with two_services[0].client() as one, two_services[1].client() as two:
        first = asyncio.create_task(ask(one, stream=True))
        await provider.called.wait()
        opening = [each.chat.completions.with_raw_response for each in (one, two)]
        # The streams begin while they wait, and say so.
        responses = [
            await each.create(model="default", messages=HELLO, stream=True, extra_body=CACHE) for each in opening
        ]
        assert [response.headers["x-answer-cache"] for response in responses] == ["wait", "wait"]
        provider.go.set()
        texts = [await join_text(each.parse()) for each in responses]
    assert [*texts, (await first)[1]] == [ANSWER] * 3
    assert len(provider.calls) == 1


@pytest.mark.usefixtures("first_bytes_soon")
async def test_a_service_that_is_killed_keeps_nobody_waiting(
    two_services: list[RunningService], provider: FakeProvider, tmp_path: Path
) -> None:
    service = two_services[0]
    async with (
        run_killable_service(provider, tmp_path / "log") as (url, process),
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=service.key, max_retries=0) as doomed,
        service.client() as client,
    ):
        asking = asyncio.create_task(ask(doomed))
        await provider.called.wait()
        response = await client.chat.completions.with_raw_response.create(
            model="default", messages=HELLO, stream=True, extra_body=CACHE
        )
        assert response.headers["x-answer-cache"] == "wait"
        process.kill()
        with pytest.raises(openai.APIConnectionError):
            await asking
        provider.go.set()
        assert await join_text(response.parse()) == ANSWER
    assert len(provider.calls) == 2


@asynccontextmanager
async def run_killable_service(
    provider: FakeProvider, log: Path
) -> AsyncIterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run the service in a process that the test can kill, with the slow provider behind it."""
    environment = {
        "APP_ANSWER_CACHE__MAX_TTL": "600",
        "APP_LANGUAGE_MODEL__PROVIDER": "openai",
        "APP_LANGUAGE_MODEL__MODEL": "slow",
        "APP_LANGUAGE_MODEL__BASE_URL": f"{provider.url}/v1",
        "APP_LANGUAGE_MODEL__API_KEY": PROVIDER_KEY,
    }
    async with run_process(environment, log) as running:
        yield running
