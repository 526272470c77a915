"""Provider limits: calls beyond them wait briefly, go to the next model, or are refused with a time to retry."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from app.adapters.circuit_breaker import CircuitBreakerSettings, LocalCircuitBreaker
from app.adapters.language_model import LanguageModelSettings
from app.adapters.provider_limiter import LocalProviderLimiter, open_provider_limiter
from app.adapters.valkey import open_valkey
from app.chat.ports import TextDelta
from app.chat.provider_limits import LimitedLanguageModel, ProviderLimits
from app.errors import ProviderLimitError, UnavailableError, UnsupportedParameterError, UpstreamTimeoutError
from app.settings import Settings
from app.usage.quotas import Charge, Quota
from tests.adapters.valkey import dead_valkey
from tests.answers.fakes import FakeLanguageModel
from tests.chat.chains import REQUEST, Outcome, Pair, ask
from tests.chat.fake_provider import WORDS, FakeProvider
from tests.chat.service import PROVIDERS, Provider, provider_settings, run_service
from tests.usage.rows import read_rows

QUESTION_TOKENS = 7  # estimated from the characters of the question
LIMITS = ProviderLimits(requests=0, tokens=1000, longest_wait=0)
TOKENS = Quota("tokens", 1000)
HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How long is the warranty?"}]
BODY = {"model": "default", "messages": HELLO}

both = pytest.mark.parametrize("kind", PROVIDERS)


def limit(settings: LanguageModelSettings, **limits: float) -> LanguageModelSettings:
    """Return the settings with limits, and long timeouts, for the first provider of the chain."""
    patient = {"first_token_timeout": 60, "idle_timeout": 60, "longest_wait": 0}
    first = settings.providers["first"].model_copy(update=patient | limits)
    return settings.model_copy(update={"providers": settings.providers | {"first": first}})


async def tokens_left(limiter: LocalProviderLimiter) -> float:
    """Return how many tokens are left; the limiter's clock must be frozen."""
    wait = (await limiter.take("house", [Charge(TOKENS, 2000)], 0)).wait
    return 2000 - wait * 1000 / 60


def frozen_clock() -> float:
    return 0.0


def limited(model: FakeLanguageModel, limiter: LocalProviderLimiter, **changes: Any) -> LimitedLanguageModel:  # noqa: ANN401
    return LimitedLanguageModel(model, "house", replace(LIMITS, **changes), limiter)


@both
async def test_the_next_model_answers_for_one_whose_provider_may_not_be_asked(pair: Pair, kind: Provider) -> None:
    settings = limit(pair.chain(kind, "steady", "steady", attempts=3), requests_per_minute=1)
    async with pair.open(settings) as model:
        outcomes = [await ask(model, Outcome()) for _ in range(3)]
    assert [each.end.model for each in outcomes if each.end] == ["first:steady", "other:steady", "other:steady"]
    assert pair.calls == (1, 2)


@both
async def test_a_limit_that_is_reached_says_nothing_against_the_model(pair: Pair, kind: Provider) -> None:
    breaker = LocalCircuitBreaker(CircuitBreakerSettings(failures=1, pause=60))
    pair = replace(pair, breaker=breaker)
    async with pair.open(limit(pair.chain(kind, "steady"), requests_per_minute=1)) as model:
        await ask(model, Outcome())
        for _ in range(3):
            with pytest.raises(ProviderLimitError):
                await ask(model, Outcome())
    assert (await breaker.look("first:steady")).state == "closed"
    assert pair.calls == (1, 0)


async def test_all_models_of_a_provider_share_its_limits(pair: Pair) -> None:
    settings = limit(pair.chain("openai", "steady"), requests_per_minute=1)
    settings.aliases["default"].append("first:thinking")
    async with pair.open(settings) as model:
        await ask(model, Outcome())
        outcome = Outcome()
        with pytest.raises(ProviderLimitError):
            await ask(model, outcome)
    assert outcome.asked == ["first:steady", "first:thinking"]
    assert pair.calls == (1, 0)


@both
async def test_every_try_counts(pair: Pair, kind: Provider) -> None:
    settings = limit(pair.chain(kind, "status-500", attempts=3), requests_per_minute=2)
    async with pair.open(settings) as model:
        with pytest.raises(ProviderLimitError):
            await ask(model, Outcome())
    assert pair.calls == (2, 0)


async def test_a_call_whose_turn_comes_soon_waits_for_it(pair: Pair) -> None:
    settings = limit(pair.chain("openai", "steady", "steady"), tokens_per_minute=60_000, longest_wait=60)
    turn = await pair.limiter.take("first", [Charge(Quota("tokens", 60_000), 60_000)], 0)
    await pair.limiter.settle("first", [Charge(Quota("tokens", 60_000), -1000)], turn)
    async with pair.open(settings) as model:
        outcome = await ask(model, Outcome(), replace(REQUEST, max_tokens=1200))
    assert outcome.asked == ["first:steady"]
    assert pair.calls == (1, 0)


async def test_nobody_waits_beyond_the_time_that_the_answer_may_take(pair: Pair) -> None:
    settings = limit(pair.chain("openai", "steady", "steady"), requests_per_minute=1, longest_wait=60)
    settings.total_timeout = 30
    async with pair.open(settings) as model:
        outcomes = [await ask(model, Outcome()) for _ in range(2)]
    assert [each.end.model for each in outcomes if each.end] == ["first:steady", "other:steady"]


async def test_an_answer_counts_for_the_most_it_may_be_until_it_is_known() -> None:
    limiter, model = LocalProviderLimiter(frozen_clock), FakeLanguageModel(["Hm."])
    async with aclosing(limited(model, limiter).stream(replace(REQUEST, max_tokens=500))) as events:
        assert await anext(events) == TextDelta("Hm.")
        assert await tokens_left(limiter) == pytest.approx(1000 - QUESTION_TOKENS - 500)
        assert [type(event).__name__ async for event in events] == ["Finished"]
    assert await tokens_left(limiter) == pytest.approx(1000 - 15)


async def test_what_may_take_more_than_a_minute_holds_needs_a_full_bucket() -> None:
    limiter, request = LocalProviderLimiter(frozen_clock), replace(REQUEST, max_tokens=5000)
    model = limited(FakeLanguageModel(["Hm."]), limiter)
    assert [event async for event in model.stream(request)]
    with pytest.raises(ProviderLimitError) as caught:
        await anext(model.stream(request))
    assert caught.value.headers == {"Retry-After": "1"}
    assert await tokens_left(limiter) == pytest.approx(1000 - 15)


@pytest.mark.parametrize(
    ("failure", "spent"),
    [
        (UnavailableError("Down."), 0),
        (UnsupportedParameterError("No.", param="tools"), 0),
        (UpstreamTimeoutError("Silent."), QUESTION_TOKENS),
    ],
)
async def test_a_failure_before_the_first_word_gives_back_what_it_did_not_take(failure: Exception, spent: int) -> None:
    limiter = LocalProviderLimiter(frozen_clock)
    with pytest.raises(type(failure)):
        await ask(limited(FakeLanguageModel(failure=failure), limiter), Outcome())
    assert await tokens_left(limiter) == pytest.approx(1000 - spent)


async def test_what_was_never_sent_takes_no_request() -> None:
    limiter = LocalProviderLimiter(frozen_clock)
    refusing = FakeLanguageModel(failure=UnsupportedParameterError("No.", param="tools"))
    for _ in range(3):
        with pytest.raises(UnsupportedParameterError):
            await ask(limited(refusing, limiter, requests=1), Outcome())
    assert (await ask(limited(FakeLanguageModel(["Hm."]), limiter, requests=1), Outcome())).text == "Hm."


async def test_a_caller_who_leaves_midway_is_charged_for_what_was_written() -> None:
    limiter = LocalProviderLimiter(frozen_clock)
    async with aclosing(limited(FakeLanguageModel(["Four"], silent=True), limiter).stream(REQUEST)) as events:
        await anext(events)
    assert await tokens_left(limiter) == pytest.approx(1000 - QUESTION_TOKENS - 1)


async def test_who_leaves_while_waiting_gives_everything_back_and_asks_nobody() -> None:
    limiter, model = LocalProviderLimiter(frozen_clock), FakeLanguageModel(["Hm."])
    await limiter.take("house", [Charge(TOKENS, 1000)], 0)
    request = replace(REQUEST, max_tokens=100)
    waiting = asyncio.create_task(ask(limited(model, limiter, longest_wait=60), Outcome(), request))
    while await tokens_left(limiter) == pytest.approx(0):
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await tokens_left(limiter) == pytest.approx(0)
    assert model.requests == []


@both
async def test_when_nobody_else_is_left_the_caller_is_told_when_to_come_back(
    settings: Settings, provider: FakeProvider, kind: Provider
) -> None:
    chain = provider_settings(provider, kind, "steady", requests_per_minute=1, longest_wait=0)
    async with run_service(settings, chain) as service:
        headers = {"Authorization": f"Bearer {service.key}"}
        async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=60) as client:
            answers = [await client.post("/v1/chat/completions", json=BODY) for _ in range(2)]
            ready = await client.get("/health/ready")
        assert [answer.status_code for answer in answers] == [200, 503]
        assert 1 <= int(answers[1].headers["retry-after"]) <= 60
        assert answers[1].json()["error"]["code"] == "provider_limit"
        assert list(ready.json()["language_models"].values()) == ["closed"]
        rows = await read_rows(service.services.ports.database)
    assert [(row.finish_reason, row.output_tokens > 0) for row in rows] == [("stop", True), ("failed", False)]
    assert len(provider.calls) == 1


async def test_a_stream_reports_the_provider_limit(settings: Settings, provider: FakeProvider) -> None:
    async def read(client: openai.AsyncOpenAI) -> str:
        stream = await client.chat.completions.create(model="default", messages=HELLO, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    chain = provider_settings(provider, "openai", "steady", requests_per_minute=1, longest_wait=0)
    async with run_service(settings, chain) as service, service.client() as client:
        assert await read(client) == "".join(WORDS)
        with pytest.raises(openai.APIError) as caught:
            await read(client)
    assert caught.value.code == "provider_limit"
    assert len(provider.calls) == 1


async def test_the_processes_share_the_limits_of_a_provider(settings: Settings, pair: Pair) -> None:
    chain = limit(pair.chain("openai", "steady", "steady"), requests_per_minute=1)
    async with open_valkey(settings.valkey) as one, open_valkey(settings.valkey) as two:
        limiters = [open_provider_limiter(settings.valkey, client) for client in (one, two)]
        opened = [replace(pair, limiter=limiter).open(chain) for limiter in limiters]
        async with opened[0] as first, opened[1] as second:
            await asyncio.gather(*(ask(model, Outcome()) for model in [first, second] * 5))
    assert pair.calls == (1, 9)


async def test_without_valkey_each_process_keeps_to_the_limits_by_itself(
    settings: Settings, provider: FakeProvider
) -> None:
    chain = provider_settings(provider, "openai", "steady", requests_per_minute=1, longest_wait=0)
    with dead_valkey() as nowhere:
        alone = settings.model_copy(update={"valkey": nowhere})
        async with run_service(alone, chain) as service, service.client() as client:
            await client.chat.completions.create(model="default", messages=HELLO)
            with pytest.raises(openai.InternalServerError) as caught:
                await client.chat.completions.create(model="default", messages=HELLO)
    assert (caught.value.status_code, caught.value.code) == (503, "provider_limit")
    assert len(provider.calls) == 1


async def test_waiting_for_a_turn_is_no_failure_and_asks_once(pair: Pair) -> None:
    settings = limit(pair.chain("openai", "steady"), requests_per_minute=600, longest_wait=60)
    quota = Quota("requests", 600)
    await pair.limiter.take("first", [Charge(quota, 600)], 0)
    async with pair.open(settings) as model:
        outcomes = await asyncio.gather(*(ask(model, Outcome()) for _ in range(5)))
    assert [each.end is not None for each in outcomes] == [True] * 5
    assert pair.calls == (5, 0)
