"""Streamed answers in OpenAI's format: the role, pieces, the finish reason, the usage if requested, and `[DONE]`."""

import json
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import structlog

from app.chat.completions import CompletionUsage, completion_id
from app.chat.ports import Finished, ModelEvent, TextDelta, ToolCallDelta
from app.errors import AppError
from app.event_stream import KEEP_ALIVE, KEEP_ALIVE_SECONDS, ReadAhead
from app.problems import as_openai_error, problem_of

log = structlog.get_logger(__name__)

DONE = b"data: [DONE]\n\n"


@dataclass(slots=True)
class Chunks:
    """Renders the chunks of one answer.

    Attributes:
        model: the model that is expected to answer; the last chunks have the one that did.
        include_usage: whether the last chunk has the usage and no choices.
    """

    model: str
    include_usage: bool = False
    id: str = field(default_factory=completion_id)
    created: int = field(default_factory=lambda: int(time.time()))

    def opening(self) -> bytes:
        """Render the first chunk, with the role."""
        return self._choice({"role": "assistant", "content": "", "refusal": None})

    def render(self, batch: Sequence[ModelEvent]) -> bytes:
        """Render events that are sent together; consecutive pieces of text become one chunk."""
        return b"".join(part for kind, group in groupby(batch, key=type) for part in self._parts(kind, list(group)))

    def _parts(self, kind: type[ModelEvent], group: Sequence[ModelEvent]) -> Iterator[bytes]:
        if kind is TextDelta:
            yield self._choice({"content": "".join(event.text for event in group if isinstance(event, TextDelta))})
            return
        for event in group:
            match event:
                case ToolCallDelta():
                    yield self._choice({"tool_calls": [_tool_call(event)]})
                case Finished():
                    self.model = event.model
                    yield self._choice({}, event.reason)
                    if self.include_usage:
                        yield self._chunk([], CompletionUsage.of(event.usage).model_dump())
                    yield DONE

    def _choice(self, delta: dict[str, Any], reason: str | None = None) -> bytes:
        return self._chunk([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}])

    def _chunk(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None = None) -> bytes:
        chunk = {"id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.model}
        extra = {"usage": usage} if self.include_usage else {}
        return b"data: %b\n\n" % json.dumps({**chunk, "choices": choices, **extra}, separators=(",", ":")).encode()


async def chunk_frames(
    reading: ReadAhead[ModelEvent], chunks: Chunks, keep_alive: float = KEEP_ALIVE_SECONDS
) -> AsyncGenerator[bytes, None]:
    """Yield an answer's chunks as server-sent events; the last is `[DONE]`, or an error instead."""
    async with aclosing(reading.batches(keep_alive)) as batches:
        try:
            yield chunks.opening()
            async for batch in batches:
                yield chunks.render(batch) if batch else KEEP_ALIVE
        except AppError as error:
            log.warning("chat.failed", code=error.code, detail=error.detail)
            yield _error(error)
        except Exception as error:
            # The status has already been sent: the client gets the error in the stream, the operator in the log.
            log.exception("chat.crashed")
            yield _error(error)


def _tool_call(event: ToolCallDelta) -> dict[str, Any]:
    function = (
        {"arguments": event.arguments} if event.name is None else {"name": event.name, "arguments": event.arguments}
    )
    if event.id is None:
        return {"index": event.index, "function": function}
    return {"index": event.index, "id": event.id, "type": "function", "function": function}


def _error(error: Exception) -> bytes:
    return b"data: %b\n\n" % as_openai_error(problem_of(error)).model_dump_json().encode()
