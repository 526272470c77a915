"""Merging of buffered stream events, which reduces the cost of parsing answers that arrive faster than they are read.

Parsing a chunk in the provider's library and pydantic-ai takes longer than everything else that this service does with
it. Chunks that arrived while the previous one was parsed are therefore merged. A chunk that arrives alone passes
unmodified and without delay, unless the process is so busy that each answer would hold up the others.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx2

from app.event_stream import ReadAhead

DATA = b"data: "
END = b"\n\n"
ANTHROPIC_DELTA = b"event: content_block_delta\n"
# Fields of chunks that carry only text.
# fmt: off
OPENAI_FRAME = frozenset((
    "id", "object", "created", "model", "system_fingerprint", "service_tier", "obfuscation",
    "choices", "index", "delta", "role", "content",
))
# fmt: on
ANTHROPIC_FRAME = frozenset(("type", "index", "delta", "text"))
# pydantic-ai detects thinking tags only in pieces that contain nothing else.
MARKS = ("<", ">")
# Duration of one event loop iteration, in seconds, from which answers pause between their pieces; the length of that
# pause in iterations; and its maximum in seconds, which is too short for a reader to notice.
BUSY = 0.01
TURNS = 8
LONGEST_WAIT = 0.2


async def merge_waiting_events(response: httpx2.Response) -> None:
    """Merge the buffered events of a streamed response; an httpx response hook for both protocols."""
    is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
    if is_stream and "content-encoding" not in response.headers and isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = MergedEvents(response.stream)


class MergedEvents(httpx2.AsyncByteStream):
    """A byte stream of server-sent events that reads ahead and merges events."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream
        self._reading = ReadAhead(_parts(stream), patience=None)
        # One shared generator: OpenAI's client iterates a second time after the last event.
        self._merged = self._merge()

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return the iterator over complete events, merged as far as they have arrived."""
        return self._merged

    async def aclose(self) -> None:
        """Stop reading and close the response."""
        async with aclosing(self._stream), aclosing(self._merged):
            await self._reading.aclose()

    async def _merge(self) -> AsyncGenerator[bytes, None]:
        rest, is_foreign = b"", False
        async with aclosing(self._reading.batches(keep_alive=None)) as batches:
            async for batch in batches:
                arrived = b"".join((rest, *batch))
                # Streams with carriage returns pass unmodified; the provider's library splits them itself.
                is_foreign = is_foreign or b"\r" in arrived
                events, end, rest = (b"", arrived, b"") if is_foreign else arrived.rpartition(END)
                if end:
                    yield end if is_foreign else merge(events + end)
                    await _give_way()
        if rest:
            yield rest


def merge(events: bytes) -> bytes:
    """Merge consecutive chunks that carry only text."""
    if events.count(END) == 1 or b"\r" in events:
        return events
    return b"".join(_merged(events.split(END)[:-1]))


@dataclass(frozen=True, slots=True)
class _Text:
    """A chunk that carries only text.

    Attributes:
        head: bytes before the data line.
        chunk: the parsed chunk, which contains `delta`.
        member: key of the text in `delta`.
    """

    head: bytes
    chunk: dict[str, Any]
    delta: dict[str, Any]
    member: str

    @property
    def said(self) -> str:
        text: str = self.delta[self.member]
        return text

    def continues(self, other: "_Text") -> bool:
        """Return whether it continues the other chunk: Anthropic numbers the parts of an answer."""
        return (self.head, self.chunk.get("index")) == (other.head, other.chunk.get("index"))

    def add(self, text: str) -> None:
        self.delta[self.member] += text

    def write(self) -> bytes:
        return self.head + DATA + json.dumps(self.chunk, separators=(",", ":")).encode() + END


def _merged(events: list[bytes]) -> Iterator[bytes]:
    held: _Text | None = None
    for event in events:
        text = _read_text(event)
        if held and text and text.continues(held):
            held.add(text.said)
            continue
        if held:
            yield held.write()
        held = text
        if text is None:
            yield event + END
    if held:
        yield held.write()


def _read_text(event: bytes) -> _Text | None:
    """Parse a chunk that carries only text; return None for any other."""
    head, _, data = event.partition(DATA)
    if head not in (b"", ANTHROPIC_DELTA):
        return None
    try:
        text = _openai_text(json.loads(data)) if head == b"" else _anthropic_text(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    is_text = text is not None and isinstance(text.said, str) and not any(mark in text.said for mark in MARKS)
    return text if is_text else None


def _openai_text(chunk: dict[str, Any]) -> _Text | None:
    [choice] = chunk["choices"]
    text = _Text(b"", chunk, choice["delta"], "content")
    return text if _members(chunk, choice, text.delta) <= OPENAI_FRAME else None


def _anthropic_text(chunk: dict[str, Any]) -> _Text | None:
    text = _Text(ANTHROPIC_DELTA, chunk, chunk["delta"], "text")
    is_text = text.delta["type"] == "text_delta" and _members(chunk, text.delta) <= ANTHROPIC_FRAME
    return text if is_text else None


def _members(*parts: dict[str, Any]) -> set[str]:
    return {name for part in parts for name, value in part.items() if value is not None}


async def _give_way() -> None:
    """Pause if the process is busy, longer the busier it is; events that arrive meanwhile are merged."""
    before = time.monotonic()
    await asyncio.sleep(0)
    turn = time.monotonic() - before
    if turn > BUSY:
        await asyncio.sleep(min(turn * TURNS, LONGEST_WAIT))


async def _parts(stream: httpx2.AsyncByteStream) -> AsyncGenerator[bytes, None]:
    async for part in stream:
        yield part
