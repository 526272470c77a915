"""What an answer took: measured while it is streamed, recorded however it ends."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field

from app.auth.caller import Caller
from app.chat.ports import Asked, Finished, LanguageModel, ModelEvent, ModelRequest, ToolCallDelta, UsageRecorder
from app.errors import CallerError, UpstreamFailedError
from app.usage.measurement import Measurement

CHARACTERS_PER_TOKEN = 4  # of English, about; only for answers whose provider never told


async def metered(
    model: LanguageModel, request: ModelRequest, *, endpoint: str, caller: Caller, usage: UsageRecorder
) -> AsyncGenerator[ModelEvent, None]:
    """Stream an answer and record what it took, before its end is passed on or however else it stops.

    Raises:
        AppError: what the model raises.
        UpstreamFailedError: the stream ended without `Finished`.
    """
    meter = Meter(model.name, request)
    try:
        async with aclosing(model.stream(request)) as events:
            async for event in events:
                if isinstance(event, Asked):
                    meter.model = event.model
                    continue
                meter.note(event)
                if isinstance(event, Finished):
                    break
                yield event
        if meter.end is None:
            raise UpstreamFailedError("The language model's answer has no end.")
    except CallerError:
        meter.is_refused = True
        raise
    except (GeneratorExit, asyncio.CancelledError):
        meter.is_cancelled = True
        raise
    finally:
        if not meter.is_refused:
            await usage.record(meter.measure(endpoint), caller=caller)
    yield meter.end


@dataclass(slots=True)
class Meter:
    """Counts what passes.

    Attributes:
        model: who is asked; of a chain, who was asked last.
        is_refused: nothing was asked of the model.
        is_cancelled: nobody wanted the rest.
    """

    model: str
    request: ModelRequest
    started: float = field(default_factory=time.monotonic)
    first: float | None = None
    characters: int = 0
    end: Finished | None = None
    is_refused: bool = False
    is_cancelled: bool = False

    def note(self, event: ModelEvent) -> None:
        """Take an event into account."""
        if isinstance(event, Finished):
            self.end = event
            return
        if self.first is None:
            self.first = time.monotonic()
        self.characters += len(event.arguments) if isinstance(event, ToolCallDelta) else len(event.text)

    def measure(self, endpoint: str) -> Measurement:
        """Say what the answer took; tokens are estimated where it has no end."""
        end = self.end
        asked_in_vain = not self.characters and not self.is_cancelled
        read = 0 if asked_in_vain else sum(len(message.content) for message in self.request.messages)
        return Measurement(
            endpoint=endpoint,
            model=end.model if end else self.model,
            input_tokens=end.usage.input_tokens if end else _estimate(read),
            output_tokens=end.usage.output_tokens if end else _estimate(self.characters),
            cached_tokens=end.usage.cached_tokens if end else 0,
            estimated=end is None,
            finish_reason=end.reason if end else "cancelled" if self.is_cancelled else "failed",
            first_token_seconds=None if self.first is None else round(self.first - self.started, 4),
            seconds=round(time.monotonic() - self.started, 4),
        )


def _estimate(characters: int) -> int:
    return math.ceil(characters / CHARACTERS_PER_TOKEN)
