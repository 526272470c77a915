"""Hidden model output, such as reasoning: never shown, but counted if the provider reports no usage."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field

import pytest

from app.adapters.circuit_breaker import CircuitBreakerSettings, LocalCircuitBreaker
from app.chat.failover import FailoverModel
from app.chat.metering import metered
from app.chat.ports import Finished, Hidden, ModelAttempt, ModelEvent, ModelRequest, StreamEvent, TextDelta, Usage
from app.errors import AppError, RequestRefusedError, UnavailableError
from app.settings import Settings
from app.usage.measurement import Measurement
from tests.answers.fakes import FakeUsage, caller
from tests.chat.chains import REQUEST
from tests.chat.fake_provider import REASONING, FakeProvider
from tests.chat.service import PROVIDERS, Provider, provider_settings, run_service

END = Finished("stop", Usage(10, 5), "fake:model")
AWAY = UnavailableError("Away.")


@dataclass
class Scripted:
    """A model that plays one scripted turn per request: emits events, raises, or falls silent at None."""

    turns: Sequence[Sequence[StreamEvent | AppError | None]]
    name: str = "fake:model"
    fallbacks: Sequence[str] = ()
    asked: int = 0
    closed: list[int] = field(default_factory=list)

    async def stream(self, _: ModelRequest) -> AsyncGenerator[StreamEvent, None]:
        """Play the next turn."""
        turn, self.asked = self.turns[self.asked], self.asked + 1
        try:
            for step in turn:
                if step is None:
                    await asyncio.Event().wait()
                elif isinstance(step, AppError):
                    raise step
                else:
                    yield step
        finally:
            self.closed.append(self.asked)


def chain(*models: Scripted, attempts: int = 1) -> FailoverModel:
    return FailoverModel(models, LocalCircuitBreaker(CircuitBreakerSettings(failures=1)), attempts, 60)


async def measure(model: FailoverModel, read: int | None = None) -> tuple[list[ModelEvent], Measurement]:
    """Read `read` pieces of an answer, or all; return them and the usage measured."""
    usage, pieces = FakeUsage(), []
    asking = metered(model, REQUEST, endpoint="chat.completions", caller=caller(), usage=usage)
    with suppress(AppError, TimeoutError):
        async with asking as events:
            async for event in events:
                pieces.append(event)
                if len(pieces) == read:
                    break
    [measured] = usage.measurements
    return pieces, measured


async def test_hidden_output_is_not_shown_and_a_providers_own_count_is_used() -> None:
    pieces, measured = await measure(chain(Scripted([[Hidden(4000), TextDelta("Yes."), Hidden(40), END]])))
    assert pieces == [TextDelta("Yes."), END]
    assert (measured.output_tokens, measured.estimated) == (5, False)


async def test_hidden_output_counts_if_the_provider_reports_no_usage() -> None:
    end = Finished("stop", Usage(0, 0), "fake:model")
    _, measured = await measure(chain(Scripted([[Hidden(4000), TextDelta("Yes."), end]])))
    assert (measured.output_tokens, measured.estimated) == (1001, True)


async def test_hidden_output_counts_if_the_reader_leaves() -> None:
    model = Scripted([[Hidden(4000), TextDelta("Yes."), Hidden(400), None]])
    _, measured = await measure(chain(model), read=1)
    assert (measured.finish_reason, measured.output_tokens, measured.estimated) == ("cancelled", 1001, True)
    assert model.closed == [1]


@pytest.mark.parametrize("after", [[], [TextDelta("Yes.")]])
async def test_hidden_output_counts_if_the_model_fails(after: list[StreamEvent]) -> None:
    _, measured = await measure(chain(Scripted([[Hidden(4000), *after, AWAY]])))
    assert (measured.finish_reason, measured.output_tokens) == ("failed", 1000 + len(after))
    assert measured.input_tokens


async def test_a_model_that_has_only_reasoned_is_asked_again_and_another_stands_in() -> None:
    first = Scripted([[Hidden(4000), AWAY], [Hidden(4000), AWAY]])
    other = Scripted([[Hidden(8), TextDelta("Yes."), END]], name="fake:other")
    events = [event async for event in chain(first, other, attempts=2).stream(REQUEST)]
    assert [event for event in events if isinstance(event, ModelAttempt)] == [
        ModelAttempt("fake:model"),
        ModelAttempt("fake:other"),
    ]
    assert events[-2:] == [TextDelta("Yes."), END]
    assert (first.closed, other.closed) == ([1, 2], [1])


async def test_reasoning_of_a_failed_model_is_not_charged_to_its_fallback() -> None:
    first = Scripted([[Hidden(4000), AWAY]])
    other = Scripted([[TextDelta("Yes."), None]], name="fake:other")
    _, measured = await measure(chain(first, other), read=1)
    assert (measured.model, measured.output_tokens) == ("fake:other", 1)


async def test_a_reader_who_leaves_during_the_reasoning_stops_the_model() -> None:
    model = Scripted([[Hidden(4000), None]])
    async with aclosing(chain(model, attempts=3).stream(REQUEST)) as events:
        assert [await anext(events), await anext(events)] == [ModelAttempt("fake:model"), Hidden(4000)]
    asking = asyncio.create_task(measure(chain(Scripted([[Hidden(4000), None]]), attempts=3)))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (model.asked, model.closed) == (1, [1])


@pytest.mark.parametrize("error", [AWAY, RequestRefusedError("No.")])
async def test_whatever_goes_wrong_after_the_first_word_is_held_against_the_model(error: AppError) -> None:
    model = chain(Scripted([[TextDelta("Yes."), error]]), Scripted([], name="fake:other"), attempts=3)
    with pytest.raises(type(error)):
        assert [event async for event in model.stream(REQUEST)]
    assert (await model.breaker.look("fake:model")).state == "open"


@pytest.mark.parametrize("kind", PROVIDERS)
async def test_a_client_that_leaves_during_the_reasoning_pays_for_it(
    settings: Settings, provider: FakeProvider, kind: Provider
) -> None:
    provider.answer = lambda _: "Yes."
    async with run_service(settings, provider_settings(provider, kind, "thinking-pauses")) as service:
        async with service.client() as client:
            asking = asyncio.create_task(
                client.chat.completions.create(model="default", messages=[{"role": "user", "content": "Is it?"}])
            )
            await asyncio.wait_for(provider.called.wait(), 60)
            await asyncio.sleep(1)
            asking.cancel()
            await asyncio.wait({asking})
        row = await service.usage()
    assert (row.finish_reason, row.estimated) == ("cancelled", True)
    assert row.output_tokens == -(-len(REASONING) // 4)
