"""Tests of the tokenizer thread: long inputs are read in slices, in fair turns, and no further than needed."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Sequence
from time import sleep

import pytest

from app.errors import OverloadedError, UnavailableError, UnprocessableError
from app.inference.token_input import MAX_TOTAL_TOKENS, read_inputs
from app.inference.token_thread import AT_ONCE, SLICE, TokenThread, open_token_thread
from tests.inference.test_token_input import MODEL, bracketing

LONG = "x" * (AT_ONCE + 1)
HUGE = "x" * SLICE


@pytest.fixture
async def thread() -> AsyncIterator[TokenThread]:
    async with open_token_thread() as opened:
        yield opened


class Reader:
    """Returns the length of each input and records the slices it was given."""

    def __init__(self) -> None:
        self.slices: list[tuple[int, int]] = []
        self.threads: set[str] = set()
        self.fails_at = 10**9

    def read(self, inputs: Sequence[str], first: int) -> list[int]:
        self.slices.append((first, len(inputs)))
        self.threads.add(threading.current_thread().name)
        if first >= self.fails_at:
            raise UnprocessableError("Too long.")
        return list(map(len, inputs))


async def test_what_is_short_is_read_at_once_and_what_is_long_in_the_thread(thread: TokenThread) -> None:
    here, there = Reader(), Reader()
    assert await thread.read(["", "ab"], here.read) == [0, 2]
    assert here.threads == {threading.current_thread().name}
    assert await thread.read([LONG, "ab"], there.read) == [len(LONG), 2]
    [name] = there.threads
    assert name.startswith("tokenizer")
    assert await thread.read([], here.read) == []


async def test_a_slice_has_no_more_characters_than_it_should_unless_one_text_has(thread: TokenThread) -> None:
    reader = Reader()
    inputs = ["x" * length for length in (SLICE - 1, 1, 1, 3 * SLICE, 5, SLICE // 2, SLICE // 2)]
    assert await thread.read(inputs, reader.read) == list(map(len, inputs))
    assert reader.slices == [(0, 2), (2, 1), (3, 1), (4, 2), (6, 1)]


async def test_what_is_written_beside_each_input_counts_as_much_as_the_input(thread: TokenThread) -> None:
    here, there = Reader(), Reader()
    await thread.read(["x"] * 10, here.read, extra_tokens=AT_ONCE // 10 - 1)
    assert (here.threads, here.slices) == ({threading.current_thread().name}, [(0, 10)])
    assert await thread.read(["x"] * 10, there.read, extra_tokens=SLICE // 4 - 1) == [1] * 10
    assert threading.current_thread().name not in there.threads
    assert there.slices == [(0, 4), (4, 4), (8, 2)]


async def test_nothing_is_read_after_the_first_fault(thread: TokenThread) -> None:
    reader = Reader()
    reader.fails_at = 2
    with pytest.raises(UnprocessableError):
        await thread.read([HUGE] * 100, reader.read)
    assert [first for first, _ in reader.slices] == [0, 1, 2]


async def test_a_caller_with_little_is_served_before_the_rest_of_one_with_much(thread: TokenThread) -> None:
    much, little = Reader(), Reader()
    flood = asyncio.create_task(thread.read([HUGE] * 1000, much.read))
    while not much.slices:
        await asyncio.sleep(0)
    await thread.read([LONG], little.read)
    assert not flood.done()
    flood.cancel()
    await asyncio.wait([flood])
    assert len(much.slices) < 1000


def dawdle(inputs: Sequence[str], _first: int) -> list[int]:
    sleep(0.05)
    return list(map(len, inputs))


async def test_what_cannot_be_read_in_time_is_refused_at_once_and_what_is_short_is_read(thread: TokenThread) -> None:
    await thread.read([HUGE], dawdle)
    flood = [asyncio.create_task(thread.read([HUGE] * 20, dawdle)) for _ in range(10)]
    await asyncio.sleep(0)
    started = time.monotonic()
    with pytest.raises(OverloadedError) as refused:
        await thread.read([HUGE] * 20, dawdle, within=1)
    assert time.monotonic() - started < 0.5
    assert int(refused.value.headers["Retry-After"]) >= 1
    assert await thread.read([LONG], dawdle, within=5) == [len(LONG)]
    for task in flood:
        task.cancel()
    await asyncio.wait(flood)


async def test_what_was_not_read_in_time_is_told_so_and_the_next_is_read(thread: TokenThread) -> None:
    with pytest.raises(OverloadedError):
        await thread.read([HUGE] * 20, dawdle, within=0.1)
    assert await thread.read([HUGE], dawdle, within=5) == [SLICE]


async def test_an_end_does_not_wait_for_more_than_a_slice() -> None:
    reader = Reader()
    async with open_token_thread() as thread:
        reading = asyncio.create_task(thread.read([HUGE] * 1000, reader.read))
        while not reader.slices:
            await asyncio.sleep(0)
    with pytest.raises((UnavailableError, asyncio.CancelledError)):
        await reading
    assert len(reader.slices) < 1000


async def test_inputs_are_named_by_their_places_in_the_request(thread: TokenThread) -> None:
    fine: list[str | list[int]] = [" " * SLICE] * 3
    with pytest.raises(UnprocessableError, match="Input 3 has 102 tokens"):
        await read_inputs([*fine, "word " * 100, *fine], bracketing(), MODEL, thread)
    with pytest.raises(UnprocessableError, match="Input 3 has the token id 3,"):
        await read_inputs([*fine, [3]], bracketing(), MODEL, thread)


async def test_more_tokens_than_a_request_may_have_are_refused_with_the_limit(thread: TokenThread) -> None:
    inputs: list[str | list[int]] = [[2] * 8] * (MAX_TOTAL_TOKENS // 8)
    assert len(await read_inputs(inputs, bracketing(), MODEL, thread)) == len(inputs)
    with pytest.raises(UnprocessableError, match="more than 300,000 tokens together"):
        await read_inputs([*inputs, "word"], bracketing(), MODEL, thread)
