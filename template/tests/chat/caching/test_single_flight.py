"""Single flight: one call to the model answers all identical requests, and the others recover if it fails."""

import asyncio

import pytest

from app.chat.caching import HEADER
from app.errors import UnavailableError
from tests.chat.caching.processes import KEY, GatedModel, Start


async def test_those_who_ask_at_once_are_given_one_answer(start: Start, model: GatedModel) -> None:
    processes = [await start(), await start()]
    first = processes[0].ask()
    await first.shows("miss")
    others = [processes[number % 2].ask() for number in range(6)]
    for other in others:
        await other.shows("wait")
    model.go.set()
    assert {await each.text() for each in (first, *others)} == {"1: 24 months."}
    assert {each.headers[HEADER] for each in others} == {"hit"}
    assert model.asked == 1


async def test_a_holder_that_dies_keeps_nobody_waiting(start: Start, model: GatedModel) -> None:
    model.go.set()
    process = await start()
    assert await process.cache.claim(KEY, "of whom nothing is heard again", 0.5) == "granted"
    waiting = process.ask()
    await waiting.shows("wait")
    assert await waiting.text() == "1: 24 months."
    assert waiting.headers[HEADER] == "miss"


async def test_a_holder_that_lives_holds_its_claim_for_as_long_as_it_takes(start: Start, model: GatedModel) -> None:
    slow = await start(lease=0.3)
    first = slow.ask()
    await first.shows("miss")
    await asyncio.sleep(1)
    assert await slow.cache.claim(KEY, "of somebody else", 60) == "taken"
    model.go.set()
    assert await first.text() == "1: 24 months."
    assert await slow.cache.claim(KEY, "of somebody else", 60) == "granted"


async def test_who_leaves_hands_on_to_one_of_those_who_wait(start: Start, model: GatedModel) -> None:
    one, two = await start(), await start()
    first = one.ask()
    await first.shows("miss")
    others = [two.ask(), two.ask()]
    for other in others:
        await other.shows("wait")
    first.answer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first.answer
    model.go.set()
    assert {await each.text() for each in others} == {"2: 24 months."}
    assert sorted(each.headers[HEADER] for each in others) == ["hit", "miss"]


async def test_who_waits_and_leaves_is_no_loss_to_the_others(start: Start, model: GatedModel) -> None:
    process = await start()
    first = process.ask()
    await first.shows("miss")
    leaving, staying = process.ask(), process.ask()
    for waiting in (leaving, staying):
        await waiting.shows("wait")
    leaving.answer.cancel()
    model.go.set()
    assert [await first.text(), await staying.text()] == ["1: 24 months."] * 2


async def test_where_the_model_fails_each_goes_on_alone(start: Start, model: GatedModel) -> None:
    model.failure = UnavailableError("The model is away.")
    one, two = await start(), await start()
    first = one.ask()
    await first.shows("miss")
    others = [two.ask() for _ in range(3)]
    for other in others:
        await other.shows("wait")
    model.go.set()
    for each in (first, *others):
        with pytest.raises(UnavailableError):
            await each.answer
    assert model.asked == 4
    assert await one.cache.find(KEY) is None


async def test_who_has_waited_long_enough_asks_the_model(start: Start, model: GatedModel) -> None:
    one, two = await start(), await start(longest_wait=0)
    first = one.ask()
    await first.shows("miss")
    second = two.ask()
    await second.shows("miss")
    model.go.set()
    assert [await first.text(), await second.text()] == ["1: 24 months.", "2: 24 months."]
