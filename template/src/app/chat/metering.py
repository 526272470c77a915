"""Metering of answers: admit a request, measure the stream, and record the usage however it ends."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

from app.auth.caller import Caller
from app.chat.metrics import record_answer, trace_answer
from app.chat.ports import (
    Finished,
    Hidden,
    LanguageModel,
    ModelAttempt,
    ModelEvent,
    ModelRequest,
    ToolCallDelta,
    UsageRecorder,
)
from app.errors import CallerError, GuardrailRefusedError, UpstreamFailedError
from app.prompts.service import FilledPrompt
from app.usage.admission import Admission
from app.usage.measurement import CACHED, Expectation, Measurement

CHARACTERS_PER_TOKEN = 4  # approximate, for English; used only if the provider reports no usage


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
    """Admit a request and yield the model's answer as a stream; leaving the block stops the model.

    The usage is recorded before `Finished` is yielded, and also if the answer fails or is cancelled.

    Raises:
        TooManyRequestsError: a rate limit or the month's budget of the caller is exhausted.
        PayloadTooLargeError: the request alone exceeds a limit.
        AppError: errors of the model.
        UpstreamFailedError: the stream ended without `Finished`.
    """
    meter = Meter(endpoint, model.name, request, prompt, model.fallbacks)
    admission = await usage.admit(meter.expect(), caller=caller)
    try:
        async with aclosing(_measured(model, meter, admission, usage)) as events:
            yield events
    finally:
        if not meter.is_begun:
            await usage.release(admission)


async def meter_cached(  # noqa: PLR0913 - each is named where it is called
    end: Finished,
    seconds: float,
    *,
    endpoint: str,
    caller: Caller,
    usage: UsageRecorder,
    prompt: FilledPrompt | None = None,
) -> None:
    """Record a cached answer against its caller: one request, without tokens or costs.

    Args:
        end: the last event of the cached answer.
        seconds: duration of the cache lookup.
        endpoint: endpoint under which the answer is recorded.
        caller: the caller.
        usage: where to record it.
        prompt: the stored prompt of the request.

    Raises:
        TooManyRequestsError: the caller's rate limit is exhausted.
        UnavailableError: the usage records are unreachable.
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
                if isinstance(event, ModelAttempt):
                    meter.switch_to(event.model)
                    span.add_event("asked", {"gen_ai.request.model": event.model})
                    continue
                meter.note(event)
                if isinstance(event, Hidden):
                    continue
                if isinstance(event, Finished):
                    break
                yield event
        if meter.end is None:
            raise UpstreamFailedError("The language model's answer ended without a finish reason.")
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
            record_answer(measurement, span)
            span.end()
            await usage.record(measurement, admission)
    yield meter.end


@dataclass(slots=True)
class Meter:
    """Measures one answer.

    Attributes:
        model: the model; in a chain, the one that was called last.
        prompt: the stored prompt of the request.
        started: when the measurement began, in seconds of `time.monotonic()`.
        first: when the first visible piece arrived, on the same clock.
        is_begun: whether the call to the model has started.
        is_refused: whether the request was rejected before it reached a model.
        is_filtered: whether a guardrail refused the answer.
        is_cancelled: whether the client stopped reading before the end.
    """

    endpoint: str
    model: str
    request: ModelRequest
    prompt: FilledPrompt | None = None
    fallbacks: Sequence[str] = ()
    started: float = field(default_factory=time.monotonic)
    first: float | None = None
    characters: int = 0
    end: Finished | None = None
    is_begun: bool = False
    is_refused: bool = False
    is_filtered: bool = False
    is_cancelled: bool = False

    def switch_to(self, model: str) -> None:
        """Continue with another model of the chain, without the characters that the failed one wrote."""
        self.model, self.characters = model, 0

    def note(self, event: ModelEvent | Hidden) -> None:
        """Count an event."""
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
        """Return the most that the answer may take."""
        read, written = _estimate(_count_characters(self.request)), self.request.max_tokens
        return Expectation(self.endpoint, self.model, read, written, self.fallbacks)

    def measure(self) -> Measurement:
        """Return what the answer took; tokens are estimated if it has no end or the provider did not count them."""
        end = self.end
        usage = end.usage if end and (end.usage.input_tokens or end.usage.output_tokens) else None
        is_unanswered = end is None and not self.characters and not self.is_cancelled
        read = 0 if is_unanswered else _count_characters(self.request)
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


def _count_characters(request: ModelRequest) -> int:
    """Return the number of characters that the model reads."""
    return sum(map(len, request.texts))


def _estimate(characters: int) -> int:
    return math.ceil(characters / CHARACTERS_PER_TOKEN)
