"""Failover: the next model of a chain answers if one fails before its first word, but not after it."""

import asyncio
from dataclasses import replace

import pytest

from app.adapters.circuit_breaker import CircuitBreakerSettings, LocalCircuitBreaker
from app.chat.ports import ModelRequest, Tool
from app.errors import (
    AppError,
    BrokenOffError,
    ProviderBusyError,
    ProviderLimitError,
    RequestRefusedError,
    ServiceRefusedError,
    UnavailableError,
    UnsupportedParameterError,
    UpstreamError,
    UpstreamFailedError,
    UpstreamTimeoutError,
)
from tests.chat.chains import REQUEST, Outcome, Pair, ask
from tests.chat.fake_provider import WORDS
from tests.chat.service import PROVIDERS, Provider

NOWHERE = "http://127.0.0.1:1"

both = pytest.mark.parametrize("kind", PROVIDERS)


@both
@pytest.mark.parametrize(
    "fault",
    [
        "status-402",
        "status-429",
        "status-429-after-60",
        "status-500",
        "status-503",
        "status-529",
        "mute",
        "early-cuts",
        "early-garbled",
        "early-unfinished",
    ],
)
async def test_the_next_model_answers_for_one_that_fails_before_its_first_word(
    pair: Pair, kind: Provider, fault: str
) -> None:
    async with pair.open(pair.chain(kind, fault, "steady")) as model:
        outcome = await ask(model, Outcome())
    assert outcome.asked == [f"first:{fault}", "other:steady"]
    assert outcome.text == "".join(WORDS)
    assert outcome.end is not None
    assert outcome.end.model == "other:steady"
    assert pair.calls == (1, 1)


@both
async def test_the_next_model_answers_for_one_that_cannot_be_reached(pair: Pair, kind: Provider) -> None:
    settings = pair.chain(kind, "steady", "steady")
    settings.providers["first"].base_url = NOWHERE
    async with pair.open(settings) as model:
        outcome = await ask(model, Outcome())
    assert outcome.asked == ["first:steady", "other:steady"]
    assert outcome.end is not None


@both
@pytest.mark.parametrize(
    ("fault", "error"),
    [("status-400", RequestRefusedError), ("status-401", ServiceRefusedError), ("status-404", ServiceRefusedError)],
)
async def test_no_fallback_answers_if_the_fault_is_ours(
    pair: Pair,
    kind: Provider,
    fault: str,
    error: type[AppError],
) -> None:
    async with pair.open(pair.chain(kind, fault, "steady", attempts=3)) as model:
        with pytest.raises(error):
            await ask(model, Outcome())
    assert pair.calls == (1, 0)


@both
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("cuts", BrokenOffError),
        ("garbled", UpstreamFailedError),
        ("unfinished", UpstreamFailedError),
        ("breaks", UnavailableError),
        ("stalls", UpstreamTimeoutError),
    ],
)
async def test_no_fallback_continues_an_answer_that_has_begun(
    pair: Pair,
    kind: Provider,
    fault: str,
    error: type[UpstreamError],
) -> None:
    outcome = Outcome()
    async with pair.open(pair.chain(kind, fault, "steady", attempts=3)) as model:
        with pytest.raises(error):
            await ask(model, outcome)
    assert outcome.asked == [f"first:{fault}"]
    assert outcome.text.startswith("Twenty-four months ")
    assert pair.calls == (1, 0)


@both
async def test_a_model_is_tried_again_before_another_stands_in(pair: Pair, kind: Provider) -> None:
    async with pair.open(pair.chain(kind, "recovers", "steady", attempts=2)) as model:
        outcome = await ask(model, Outcome())
    assert outcome.asked == ["first:recovers"]
    assert outcome.end is not None
    assert pair.calls == (2, 0)


@both
async def test_tries_are_counted_for_each_model_and_not_multiplied(pair: Pair, kind: Provider) -> None:
    async with pair.open(pair.chain(kind, "status-500", "status-503", attempts=2)) as model:
        with pytest.raises(UnavailableError):
            await ask(model, Outcome())
    assert pair.calls == (2, 2)


@both
async def test_a_provider_that_asks_for_a_long_pause_is_not_asked_again(pair: Pair, kind: Provider) -> None:
    settings = pair.chain(kind, "status-529", "status-429-after-60", attempts=3)
    async with pair.open(settings) as model:
        with pytest.raises(ProviderBusyError) as caught:
            await ask(model, Outcome())
    assert caught.value.headers == {"Retry-After": "60"}
    assert pair.calls == (3, 1)


@both
async def test_what_a_stand_in_cannot_do_is_not_held_against_the_request(pair: Pair, kind: Provider) -> None:
    settings = pair.chain(kind, "status-503", "status-400", "status-401")
    settings.aliases["default"].append("offline:extractive")
    outcome = Outcome()
    async with pair.open(settings) as model:
        with pytest.raises(UnavailableError):
            await ask(model, outcome, ModelRequest(REQUEST.messages, tools=[Tool("get_time")]))
    assert outcome.asked == ["first:status-503", "other:status-400", "other:status-401", "offline:extractive"]


@both
async def test_the_time_for_an_answer_is_that_of_the_whole_chain(pair: Pair, kind: Provider) -> None:
    settings = pair.chain(kind, "mute", "steady")
    settings.total_timeout = 0.2
    outcome = Outcome()
    async with pair.open(settings) as model:
        with pytest.raises(UpstreamTimeoutError):
            await ask(model, outcome)
    assert outcome.asked == ["first:mute"]
    assert (await pair.breaker.look("other:steady")).state == "closed"


@both
async def test_leaving_while_a_model_is_silent_asks_nobody_else(pair: Pair, kind: Provider) -> None:
    settings = pair.chain(kind, "mute", "steady")
    settings.providers["first"].first_token_timeout = 60
    async with pair.open(settings) as model:
        asking = asyncio.create_task(ask(model, Outcome()))
        await asyncio.wait_for(pair.provider.called.wait(), 60)
        asking.cancel()
        await asyncio.wait_for(pair.provider.client_left.wait(), 60)
        with pytest.raises(asyncio.CancelledError):
            await asking
    assert pair.calls == (1, 0)


@pytest.mark.parametrize("limit", [0, 1])
async def test_a_trial_that_never_reached_the_provider_is_left_to_the_next_call(pair: Pair, limit: int) -> None:
    now = 0.0
    breaker = LocalCircuitBreaker(CircuitBreakerSettings(failures=1, pause=60), clock=lambda: now)
    settings = pair.chain("anthropic", "status-503")
    first = settings.providers["first"]
    first.requests_per_minute, first.longest_wait = limit, 0
    request, error = (REQUEST, ProviderLimitError) if limit else (replace(REQUEST, seed=1), UnsupportedParameterError)
    async with replace(pair, breaker=breaker).open(settings) as model:
        with pytest.raises(UnavailableError):
            await ask(model, Outcome())
        now = 61.0
        with pytest.raises(error):
            await ask(model, Outcome(), request)
        assert (await breaker.look("first:status-503")).state == "half_open"
    assert pair.calls == (1, 0)
