"""Tests of reading ahead: items stay in order, and the source is closed when nothing reads it any more."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from app.errors import ClientGoneError
from app.event_stream import MOST_WAITING, EventStream, ReadAhead

PATIENT = 60.0


class Source:
    """Yields a number of integers, then falls silent, fails or ends."""

    def __init__(self, most: int, failure: Exception | None = None, *, silent: bool = False) -> None:
        self.given = 0
        self.closed = asyncio.Event()
        self._most, self._failure, self._silent = most, failure, silent

    async def numbers(self) -> AsyncGenerator[int, None]:
        try:
            while self.given < self._most:
                self.given += 1
                yield self.given
            if self._silent:
                await asyncio.Event().wait()
            if self._failure:
                raise self._failure
        finally:
            self.closed.set()


async def test_everything_arrives_once_and_in_order() -> None:
    async with aclosing(ReadAhead(Source(1000).numbers())) as reading:
        await reading.wait_for_first(PATIENT)
        batches = [batch async for batch in reading.batches(PATIENT)]
    assert [number for batch in batches for number in batch] == list(range(1, 1001))
    assert max(map(len, batches)) > 1


async def test_a_reader_that_stands_still_stops_the_source() -> None:
    source = Source(10_000)
    async with aclosing(ReadAhead(source.numbers())) as reading:
        await reading.wait_for_first(PATIENT)
        for _ in range(3000):
            await asyncio.sleep(0)
        assert source.given <= MOST_WAITING + 2
    assert source.closed.is_set()


async def test_a_reader_that_stands_still_for_too_long_loses_the_source() -> None:
    source = Source(10_000)
    async with aclosing(ReadAhead(source.numbers(), patience=0.01)) as reading:
        await asyncio.wait_for(source.closed.wait(), PATIENT)
        assert source.given <= MOST_WAITING + 2
        with pytest.raises(ClientGoneError):
            assert [batch async for batch in reading.batches(PATIENT)]


async def test_closing_again_does_not_break_off_what_a_source_does_at_its_end() -> None:
    closing, go, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def numbers() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closing.set()
            await go.wait()
            closed.set()

    reading = ReadAhead(numbers())
    await reading.wait_for_first(PATIENT)
    first = asyncio.create_task(reading.aclose())
    await asyncio.wait_for(closing.wait(), PATIENT)
    second = asyncio.create_task(reading.aclose())
    await asyncio.sleep(0)
    go.set()
    await asyncio.wait_for(asyncio.gather(first, second), PATIENT)
    assert closed.is_set()


async def test_a_failure_before_the_first_item_is_raised_at_once() -> None:
    async with aclosing(ReadAhead(Source(0, RuntimeError("no")).numbers())) as reading:
        with pytest.raises(RuntimeError, match="no"):
            await reading.wait_for_first(PATIENT)


async def test_a_failure_later_comes_after_what_was_read() -> None:
    source = Source(3, RuntimeError("no"))
    async with aclosing(ReadAhead(source.numbers())) as reading:
        await source.closed.wait()
        batches = reading.batches(PATIENT)
        assert await anext(batches) == [1, 2, 3]
        with pytest.raises(RuntimeError, match="no"):
            await anext(batches)


async def test_silence_is_reported_and_nothing_is_lost() -> None:
    source = Source(1, silent=True)
    async with aclosing(ReadAhead(source.numbers())) as reading:
        await reading.wait_for_first(PATIENT)
        batches = reading.batches(0.01)
        assert [await anext(batches) for _ in range(3)] == [[1], [], []]
        await batches.aclose()
    assert source.closed.is_set()


async def test_waiting_for_the_first_item_has_an_end() -> None:
    source = Source(0, silent=True)
    async with aclosing(ReadAhead(source.numbers())) as reading:
        await reading.wait_for_first(0.01)
    assert source.closed.is_set()


async def test_a_stream_that_never_began_closes_its_source() -> None:
    source = Source(5, silent=True)
    reading = ReadAhead(source.numbers())
    await reading.wait_for_first(PATIENT)

    async def frames() -> AsyncGenerator[bytes, None]:
        async for batch in reading.batches(PATIENT):
            yield str(batch).encode()

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(_: object) -> None:
        await asyncio.Event().wait()

    await EventStream(frames(), reading)({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send)
    assert source.closed.is_set()
