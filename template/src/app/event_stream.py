"""Server-sent event streams: read ahead of the client, kept alive, and closed when the client disconnects."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app.errors import ClientGoneError

KEEP_ALIVE_SECONDS = 15.0
KEEP_ALIVE = b": keep-alive\n\n"
MOST_WAITING = 256  # events; a reader that is further behind slows the model down
STANDSTILL_SECONDS = 30.0  # longest pause of such a reader, which occupies a model meanwhile
# A source that fails within this time fails before the first byte is sent, so the response has the error's status, by
# which clients decide whether to retry. After that the stream starts.
FIRST_BYTE_SECONDS = 0.5

Item = TypeVar("Item")


class Closable(Protocol):
    """Something that can be closed."""

    async def aclose(self) -> object:
        """Close it."""


class EventStream(StreamingResponse):
    """A response of server-sent events that closes its source as soon as the client disconnects.

    The frames only read from the source; this response closes it.
    """

    media_type = "text/event-stream"

    def __init__(self, frames: AsyncGenerator[bytes, None], source: Closable) -> None:
        """Create a response of frames that read from `source`."""
        super().__init__(frames, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._frames = frames
        self._source = source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the frames."""
        # A generator that never started would not close its source.
        async with aclosing(self._source), aclosing(self._frames):
            await super().__call__(scope, receive, send)


@dataclass(frozen=True, slots=True)
class _Over:
    """The source has ended or failed."""

    failure: Exception | None = None


class ReadAhead(Generic[Item]):
    """Reads a source in a separate task, so that waiting items can be sent together.

    `aclose` closes it and its source; so does a full queue from which nothing is taken for too long.

    Args:
        source: the items.
        patience: seconds that the source may wait for a slow reader; None is no limit.
    """

    def __init__(self, source: AsyncGenerator[Item, None], patience: float | None = STANDSTILL_SECONDS) -> None:
        """Start reading."""
        self._patience = patience
        self._waiting: asyncio.Queue[Item | _Over] = asyncio.Queue(MOST_WAITING)
        self._first: list[Item | _Over] = []
        self._reader = asyncio.create_task(self._read(source))

    @classmethod
    async def begin(cls, source: AsyncGenerator[Item, None]) -> Self:
        """Start reading and wait briefly for the first item; raise what the source raises until then."""
        reading = cls(source)
        try:
            await reading.wait_for_first(FIRST_BYTE_SECONDS)
        except BaseException:
            await reading.aclose()
            raise
        return reading

    async def wait_for_first(self, seconds: float) -> None:
        """Wait up to this long for the first item; raise what the source raises until then."""
        try:
            async with asyncio.timeout(seconds):
                self._first = [await self._waiting.get()]
        except TimeoutError:
            return
        if isinstance(self._first[0], _Over) and self._first[0].failure:
            raise self._first[0].failure

    async def batches(self, keep_alive: float | None) -> AsyncGenerator[list[Item], None]:
        """Yield batches of waiting items, in order, and an empty one after `keep_alive` seconds of silence.

        Raise what the source raises, or `ClientGoneError` if the source waited too long for the reader.
        """
        batch, self._first = self._first, []
        while True:
            if not batch:
                try:
                    async with asyncio.timeout(keep_alive):
                        batch = [await self._waiting.get()]
                except TimeoutError:
                    yield []
                    continue
            while not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            items = [item for item in batch if not isinstance(item, _Over)]
            if items:
                yield items
            if isinstance(batch[-1], _Over):
                if batch[-1].failure:
                    raise batch[-1].failure
                return
            batch = []

    async def aclose(self) -> None:
        """Stop reading."""
        # A second cancellation would interrupt the source's cleanup after the first.
        if not self._reader.cancelling():
            self._reader.cancel()
        await asyncio.wait([self._reader])

    async def _read(self, source: AsyncGenerator[Item, None]) -> None:
        over = _Over()
        try:
            async with aclosing(source):
                async for item in source:
                    await self._pass_on(item)
        except Exception as failure:  # noqa: BLE001 - `batches` raises it
            over = _Over(failure)
        await self._waiting.put(over)

    async def _pass_on(self, item: Item) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._waiting.put(item)
        except TimeoutError:
            raise ClientGoneError("The answer was aborted because the client stopped reading it.") from None
