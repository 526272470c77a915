"""Tokens that wait together, made one before they are read: a provider that is ahead of the reader costs less then.

To read one chunk of an answer, the provider's library and pydantic-ai take longer than everything that this service
does with it. So what arrived while the last chunk was read becomes as few chunks as say the same. What arrives alone
passes as it came, and nothing waits for another.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import httpx2

from app.event_stream import ReadAhead

DATA = b"data: "
END = b"\n\n"
# Members of chunks that have only text to say.
# fmt: off
FRAME = frozenset((
    "id", "object", "created", "model", "system_fingerprint", "service_tier", "obfuscation",
    "choices", "index", "delta", "role", "content",
))
# fmt: on
# pydantic-ai knows the marks of a model's thinking by pieces that are nothing else.
MARKS = ("<", ">")


async def merge_waiting_events(response: httpx2.Response) -> None:
    """Have what waits of an answer read together: a hook for responses in OpenAI's protocol."""
    is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
    if is_stream and "content-encoding" not in response.headers and isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = MergedEvents(response.stream)


class MergedEvents(httpx2.AsyncByteStream):
    """The bytes of a stream of events, read ahead."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream
        self._reading = ReadAhead(_parts(stream))
        # One for all who iterate: behind the last event, OpenAI's client reads on in a second loop.
        self._merged = self._merge()

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield whole events, as many as have arrived."""
        return self._merged

    async def aclose(self) -> None:
        """Stop reading and end the response."""
        await self._reading.aclose()
        await self._merged.aclose()
        await self._stream.aclose()

    async def _merge(self) -> AsyncGenerator[bytes, None]:
        rest = b""
        async with aclosing(self._reading.batches(keep_alive=None)) as batches:
            async for batch in batches:
                events, end, rest = b"".join((rest, *batch)).rpartition(END)
                if end:
                    yield merge(events + end)
        if rest:
            yield rest


def merge(events: bytes) -> bytes:
    """Make one of chunks in a row that have only text to say."""
    if events.count(END) == 1 or b"\r" in events:
        return events
    return b"".join(_merged(events.split(END)[:-1]))


def _merged(events: list[bytes]) -> Iterator[bytes]:
    held: dict[str, Any] | None = None
    for event in events:
        chunk = _read_text(event)
        if held and chunk:
            held["choices"][0]["delta"]["content"] += chunk["choices"][0]["delta"]["content"]
            continue
        if held:
            yield _write(held)
        held = chunk
        if chunk is None:
            yield event + END
    if held:
        yield _write(held)


def _read_text(event: bytes) -> dict[str, Any] | None:
    """Read a chunk that says nothing beside its text; None if it is any other."""
    if not event.startswith(DATA):
        return None
    try:
        chunk: dict[str, Any] = json.loads(event[len(DATA) :])
        [choice] = chunk["choices"]
        delta = choice["delta"]
        text = delta["content"]
        said = {name for part in (chunk, choice, delta) for name, value in part.items() if value is not None}
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    is_text = isinstance(text, str) and not any(mark in text for mark in MARKS)
    return chunk if is_text and said <= FRAME else None


def _write(chunk: dict[str, Any]) -> bytes:
    return DATA + json.dumps(chunk, separators=(",", ":")).encode() + END


async def _parts(stream: httpx2.AsyncByteStream) -> AsyncGenerator[bytes, None]:
    async for part in stream:
        yield part
