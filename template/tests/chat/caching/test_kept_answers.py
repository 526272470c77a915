"""Which answers are cached, and how they are returned again."""

from dataclasses import replace

import pytest

from app.chat.caching import HEADER, CachePreference
from app.chat.ports import FinishReason, TextDelta, ToolCallDelta
from app.errors import GuardrailRefusedError, UnsupportedParameterError, UpstreamFailedError
from app.guardrails.settings import GuardrailSettings
from tests.adapters.valkey import gated_valkey
from tests.chat.caching.processes import ATTACK, KEY, PREFERENCE, REQUEST, GatedModel, Start, end


async def test_an_answer_is_given_again_and_no_model_is_asked(start: Start, model: GatedModel) -> None:
    one, two = await start(), await start()
    model.go.set()
    first = one.ask()
    assert await first.text() == "1: 24 months."
    again = two.ask()
    assert await again.answer == await first.answer
    assert (first.headers[HEADER], again.headers[HEADER]) == ("miss", "hit")
    assert int(again.headers["Age"]) >= 0
    [use] = two.usage.measurements
    assert (use.finish_reason, use.input_tokens, use.output_tokens, use.model) == ("cached", 0, 0, "fake:model-1")
    assert [each.finish_reason for each in one.usage.measurements] == ["stop"]


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_that_is_not_whole_is_not_kept(start: Start, model: GatedModel, reason: FinishReason) -> None:
    model.go.set()
    model.events = [TextDelta("24"), end(reason)]
    process = await start()
    assert [await process.ask().text() for _ in range(2)] == ["1: 24", "2: 24"]


async def test_an_answer_that_breaks_off_is_not_kept(start: Start, model: GatedModel) -> None:
    model.go.set()
    model.events = [TextDelta("24")]
    process = await start()
    for _ in range(2):
        with pytest.raises(UpstreamFailedError):
            await process.ask().answer
    assert model.asked == 2


async def test_an_answer_that_is_too_large_is_not_kept(start: Start, model: GatedModel) -> None:
    model.go.set()
    process = await start(max_bytes=12)
    assert [await process.ask().text() for _ in range(2)] == ["1: 24 months.", "2: 24 months."]


async def test_what_guardrails_refuse_is_not_kept_and_what_was_kept_is_not_given(
    start: Start, model: GatedModel
) -> None:
    model.go.set()
    strict, lax = await start(guardrails=GuardrailSettings(banned_phrases=["24 months"])), await start()
    for _ in range(2):
        with pytest.raises(GuardrailRefusedError):
            await strict.ask().answer
    assert await lax.ask().text() == "3: 24 months."
    with pytest.raises(GuardrailRefusedError):
        await strict.ask().answer


async def test_a_request_is_checked_before_a_kept_answer_is_looked_for(start: Start, model: GatedModel) -> None:
    model.go.set()
    asking = (await start()).ask(ATTACK)
    with pytest.raises(GuardrailRefusedError):
        await asking.answer
    assert HEADER not in asking.headers


async def test_tool_calls_are_given_again_as_they_were(start: Start, model: GatedModel) -> None:
    model.go.set()
    begin, rest = ToolCallDelta(0, '{"city"', "call_1", "weather"), ToolCallDelta(0, ": 1}")
    model.events = [begin, rest, ToolCallDelta(1, "{}", "call_2", "time"), end("tool_calls")]
    process = await start()
    first, again = await process.ask().answer, process.ask()
    assert await again.answer == first
    assert [call.arguments for call in first.tool_calls] == ['{"city": 1}', "{}"]
    assert again.headers[HEADER] == "hit"


@pytest.mark.parametrize("preference", [None, CachePreference(is_enabled=False)])
async def test_nothing_is_kept_unless_it_is_wanted(
    start: Start, model: GatedModel, preference: CachePreference | None
) -> None:
    model.go.set()
    process = await start()
    asking = process.ask(preference=preference)
    assert await asking.text() == "1: 24 months."
    assert HEADER not in asking.headers
    assert await process.cache.find(KEY) is None


@pytest.mark.parametrize(("temperature", "kept"), [(0.0, True), (None, False), (0.1, False), (1.0, False)])
async def test_an_alias_has_answers_kept_at_temperature_0_alone(
    start: Start,
    model: GatedModel,
    temperature: float | None,
    kept: bool,  # noqa: FBT001
) -> None:
    model.go.set()
    process, request = await start(aliases=["default"]), replace(REQUEST, temperature=temperature)
    texts = [await process.ask(request, None).text() for _ in range(2)]
    assert (texts[1] == texts[0]) is kept
    refused = process.ask(request, CachePreference(is_enabled=False))
    assert (await refused.text()).startswith("2" if kept else "3")
    assert HEADER not in refused.headers


async def test_no_answer_is_kept_longer_than_the_service_allows(start: Start) -> None:
    process = await start()
    with pytest.raises(UnsupportedParameterError, match="600 s"):
        await process.ask(preference=CachePreference(is_enabled=True, seconds=601)).answer
    short = (await start(max_ttl=60)).chat.caching
    assert short is not None
    assert short.seconds_for(REQUEST, "default", PREFERENCE) == 60


async def test_a_cache_that_goes_away_in_the_middle_is_not_noticed(start: Start, model: GatedModel) -> None:
    async with gated_valkey() as (gate, valkey):
        process = await start(valkey)
        first = process.ask()
        await first.shows("miss")
        waiting = process.ask()
        await waiting.shows("wait")
        gate.shut()
        model.go.set()
        assert {await first.text(), await waiting.text()} == {"1: 24 months.", "2: 24 months."}
        assert await process.ask().text() == "3: 24 months."
