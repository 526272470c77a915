"""What an answer may take and what it took: admitted first, measured while streamed, recorded however it ends."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from app.auth.caller import Caller
from app.chat.metrics import show_answer, trace_answer
from app.chat.ports import (
    Asked,
    Finished,
    Hidden,
    LanguageModel,
    ModelEvent,
    ModelRequest,
    ToolCallDelta,
    UsageRecorder,
)
from app.errors import CallerError, GuardrailRefusedError, UpstreamFailedError
from app.prompts.service import FilledPrompt
from app.usage.admission import Admission
from app.usage.measurement import CACHED, Expectation, Measurement

CHARACTERS_PER_TOKEN = 4  # of English, about; only for answers whose provider never told


@asynccontextmanager
async def metered(  # noqa: PLR0913 - each is named where it is called
    model: LanguageModel,
    request: ModelRequest,
    *,
    endpoint: str,
    caller: Caller,
    usage: UsageRecorder,
    prompt: FilledPrompt | None = None,
) -> AsyncIterator[AsyncGenerator[ModelEvent, None]]:
    """Let a request through its caller's limits and offer the answer; leaving the block stops the model.

    What the answer took is recorded before its end is passed on, or however else it stops.

    Raises:
        TooManyRequestsError: a limit of the caller is reached for now, or the month's budget.
        PayloadTooLargeError: the request can never be within the limits.
        AppError: what the model raises.
        UpstreamFailedError: the stream ended without `Finished`.
    """
    meter = Meter(endpoint, model.name, request, prompt, model.stand_ins)
    admission = await usage.admit(meter.expect(), caller=caller)
    try:
        async with aclosing(_measured(model, meter, admission, usage)) as events:
            yield events
    finally:
        if not meter.is_begun:
            await usage.release(admission)


async def meter_kept(  # noqa: PLR0913 - each is named where it is called
    end: Finished,
    seconds: float,
    *,
    endpoint: str,
    caller: Caller,
    usage: UsageRecorder,
    prompt: FilledPrompt | None = None,
) -> None:
    """Put an answer that was kept on its caller's account: a request of no tokens and no cost.

    Raises:
        TooManyRequestsError: the caller has had all requests of the minute.
        UnavailableError: the account cannot be looked at.
    """
    admission = await usage.admit(Expectation(endpoint, end.model, 0, 0), caller=caller)
    measurement = Measurement(
        endpoint=endpoint,
        model=end.model,
        input_tokens=0,
        output_tokens=0,
        cached_tokens=0,
        estimated=False,
        finish_reason=CACHED,
        first_token_seconds=seconds,
        seconds=seconds,
        prompt_name=prompt.name if prompt else None,
        prompt_version=prompt.version if prompt else None,
    )
    await usage.record(measurement, admission)


async def _measured(
    model: LanguageModel, meter: "Meter", admission: Admission, usage: UsageRecorder
) -> AsyncGenerator[ModelEvent, None]:
    meter.is_begun = True
    span = trace_answer(meter.model)
    try:
        async with aclosing(model.stream(meter.request)) as events:
            async for event in events:
                if isinstance(event, Asked):
                    meter.turn_to(event.model)
                    span.add_event("asked", {"gen_ai.request.model": event.model})
                    continue
                meter.note(event)
                if isinstance(event, Hidden):
                    continue
                if isinstance(event, Finished):
                    break
                yield event
        if meter.end is None:
            raise UpstreamFailedError("The language model's answer has no end.")
    except GuardrailRefusedError:
        meter.is_filtered = True
        raise
    except CallerError:
        meter.is_refused = True
        raise
    except (GeneratorExit, asyncio.CancelledError):
        meter.is_cancelled = True
        raise
    finally:
        if meter.is_refused:
            span.end()
            await usage.release(admission)
        else:
            measurement = meter.measure()
            show_answer(measurement, span)
            span.end()
            await usage.record(measurement, admission)
    yield meter.end


@dataclass(slots=True)
class Meter:
    """Counts what passes.

    Attributes:
        model: who is asked; of a chain, who was asked last.
        prompt: the stored one that the request was made of.
        is_begun: the model was asked, or is about to be.
        is_refused: nothing was asked of the model.
        is_filtered: what the model wrote must not be passed on.
        is_cancelled: nobody wanted the rest.
    """

    endpoint: str
    model: str
    request: ModelRequest
    prompt: FilledPrompt | None = None
    stand_ins: Sequence[str] = ()
    started: float = field(default_factory=time.monotonic)
    first: float | None = None
    characters: int = 0
    end: Finished | None = None
    is_begun: bool = False
    is_refused: bool = False
    is_filtered: bool = False
    is_cancelled: bool = False

    def turn_to(self, model: str) -> None:
        """Count for a model that is asked now: what another wrote that gave no answer is not on its account."""
        self.model, self.characters = model, 0

    def note(self, event: ModelEvent | Hidden) -> None:
        """Take an event into account."""
        if isinstance(event, Finished):
            self.end = event
            return
        if isinstance(event, Hidden):
            self.characters += event.characters
            return
        if self.first is None:
            self.first = time.monotonic()
        self.characters += len(event.arguments) if isinstance(event, ToolCallDelta) else len(event.text)

    def expect(self) -> Expectation:
        """Say what the answer may take at most."""
        read, written = _estimate(_read(self.request)), self.request.max_tokens
        return Expectation(self.endpoint, self.model, read, written, self.stand_ins)

    def measure(self) -> Measurement:
        """Say what the answer took; tokens are estimated where it has no end, or nobody counted them."""
        end = self.end
        usage = end.usage if end and (end.usage.input_tokens or end.usage.output_tokens) else None
        asked_in_vain = end is None and not self.characters and not self.is_cancelled
        read = 0 if asked_in_vain else _read(self.request)
        return Measurement(
            endpoint=self.endpoint,
            model=end.model if end else self.model,
            input_tokens=usage.input_tokens if usage else _estimate(read),
            output_tokens=usage.output_tokens if usage else _estimate(self.characters),
            cached_tokens=usage.cached_tokens if usage else 0,
            estimated=usage is None,
            finish_reason=self._reason(),
            first_token_seconds=None if self.first is None else round(self.first - self.started, 4),
            seconds=round(time.monotonic() - self.started, 4),
            prompt_name=self.prompt.name if self.prompt else None,
            prompt_version=self.prompt.version if self.prompt else None,
        )

    def _reason(self) -> str:
        if self.end:
            return self.end.reason
        if self.is_filtered:
            return "content_filter"
        return "cancelled" if self.is_cancelled else "failed"


def _read(request: ModelRequest) -> int:
    """Count the characters that the model reads."""
    return sum(map(len, request.texts))


def _estimate(characters: int) -> int:
    return math.ceil(characters / CHARACTERS_PER_TOKEN)
