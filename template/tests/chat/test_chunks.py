"""Streams of chunks send keep-alives while the model is silent."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from app.chat.chunks import DONE, Chunks, chunk_frames
from app.chat.ports import Finished, ModelEvent, TextDelta, Usage
from app.event_stream import KEEP_ALIVE, ReadAhead


async def test_while_the_model_is_silent_the_reader_gets_signs_of_life() -> None:
    go = asyncio.Event()

    async def answer() -> AsyncGenerator[ModelEvent, None]:
        await go.wait()
        yield TextDelta("Yes.")
        yield Finished("stop", Usage(1, 1), "openai:steady")

    reading = ReadAhead(answer())
    frames = chunk_frames(reading, Chunks("openai:steady"), keep_alive=0.01)
    async with aclosing(reading), aclosing(frames):
        assert b'"role":"assistant"' in await anext(frames)
        assert [await anext(frames) for _ in range(3)] == [KEEP_ALIVE] * 3
        go.set()
        rest = b"".join([frame async for frame in frames])
    assert b'"content":"Yes."' in rest
    assert rest.endswith(DONE)
