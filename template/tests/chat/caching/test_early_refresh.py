"""Early refresh: cached answers are replaced before they expire."""

from dataclasses import replace

import pytest

from app.chat.caching import HEADER, CachePreference
from app.errors import UnavailableError
from tests.chat.caching.processes import KEY, OFTEN, PRECIOUS, GatedModel, Start


async def test_one_replaces_an_answer_before_its_time_while_others_are_given_it(
    start: Start, model: GatedModel
) -> None:
    eager, patient = await start(chance=OFTEN), await start()
    await eager.cache.keep(KEY, PRECIOUS)
    replacing = eager.ask()
    await replacing.shows("miss")
    for other in (patient.ask(), eager.ask()):
        assert await other.text() == "0: 24 months."
    model.go.set()
    assert await replacing.text() == "1: 24 months."
    assert await patient.ask().text() == "1: 24 months."


async def test_an_answer_that_cannot_be_replaced_is_given_again(start: Start, model: GatedModel) -> None:
    model.go.set()
    model.failure = UnavailableError("The model is away.")
    eager = await start(chance=OFTEN)
    await eager.cache.keep(KEY, PRECIOUS)
    asking = eager.ask()
    assert await asking.text() == "0: 24 months."
    assert asking.headers[HEADER] == "hit"
    assert model.asked == 1


async def test_an_answer_that_takes_no_time_is_replaced_at_its_end_alone(start: Start, model: GatedModel) -> None:
    model.go.set()
    eager = await start(chance=OFTEN)
    await eager.cache.keep(KEY, replace(PRECIOUS, took=1))
    assert await eager.ask().text() == "0: 24 months."


@pytest.mark.parametrize(("chance", "life"), [(0.0, 100), (0.5, 95), (0.9, 91)])
async def test_answers_go_a_little_before_their_time_and_not_together(
    start: Start, model: GatedModel, chance: float, life: float
) -> None:
    model.go.set()
    process = await start(chance=lambda: chance)
    await process.ask(preference=CachePreference(is_enabled=True, seconds=100)).answer
    kept = await process.cache.find(KEY)
    assert kept is not None
    assert kept.life == pytest.approx(life)
    assert kept.left <= life
