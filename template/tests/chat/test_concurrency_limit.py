"""The limit on concurrent language model calls per process."""

import asyncio
from contextlib import aclosing

import pytest

from app.chat.concurrency_limit import ConcurrencyLimitedModel, limit_concurrency
from app.chat.ports import Message, ModelRequest, TextDelta
from app.errors import OverloadedError, UnavailableError
from app.usage.settings import LimitsSettings
from tests.answers.fakes import FakeLanguageModel
from tests.meters import Meters

HELLO = ModelRequest([Message("user", "Hello.")])


async def test_a_call_beyond_the_cap_waits_and_is_then_refused_with_a_time_to_come_back(meters: Meters) -> None:
    model = FakeLanguageModel(["Hm."], silent=True)
    capped = ConcurrencyLimitedModel(model, asyncio.Semaphore(1), 0.01)
    async with aclosing(capped.stream(HELLO)) as first:
        assert await anext(first) == TextDelta("Hm.")
        with pytest.raises(OverloadedError) as caught:
            await anext(capped.stream(HELLO))
    assert meters.read()["app_language_model_rejections"] == {frozenset({("model", "fake:model")}): 1}
    assert caught.value.headers == {"Retry-After": "1"}
    assert len(model.requests) == 1


async def test_a_call_that_ends_makes_room_for_one_that_waits() -> None:
    capped = ConcurrencyLimitedModel(FakeLanguageModel(["Hm."], silent=True), asyncio.Semaphore(1), 60)
    async with aclosing(capped.stream(HELLO)) as first:
        await anext(first)
        waiting = asyncio.create_task(anext(capped.stream(HELLO)))
        await asyncio.sleep(0)
    assert await waiting == TextDelta("Hm.")


async def test_calls_that_give_up_or_fail_free_their_places() -> None:
    model = FakeLanguageModel(["Hm."], failure=UnavailableError("Down."))
    capped = ConcurrencyLimitedModel(model, asyncio.Semaphore(1), 60)
    async with aclosing(capped.stream(HELLO)) as first:
        await anext(first)
        waiting = asyncio.create_task(anext(capped.stream(HELLO)))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(UnavailableError):
            await anext(first)
    assert await anext(capped.stream(HELLO)) == TextDelta("Hm.")


def test_without_a_cap_models_are_not_wrapped() -> None:
    models = {"default": FakeLanguageModel()}
    assert limit_concurrency(models, LimitsSettings(concurrent_calls=0)) is models
    assert limit_concurrency(models, LimitsSettings())["default"].name == "fake:model"


async def test_all_models_share_the_places() -> None:
    models = {"default": FakeLanguageModel(["Hm."], silent=True), "fast": FakeLanguageModel(["Hm."])}
    capped = limit_concurrency(models, LimitsSettings(concurrent_calls=1, longest_wait=0.01))
    async with aclosing(capped["default"].stream(HELLO)) as first:
        await anext(first)
        with pytest.raises(OverloadedError):
            await anext(capped["fast"].stream(HELLO))
