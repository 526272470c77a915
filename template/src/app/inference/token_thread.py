"""Tokenizing what is long: in a thread of its own, so that neither the event loop nor other threads are kept by it."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from app.errors import UnavailableError
from app.inference.submission import overloaded

# Characters, or token ids, that are read sooner than a thread is told to.
AT_ONCE = 2000
# Characters, or token ids, that are read in one go. A tokenizer makes a hundred bytes and more of each, of which the
# ids alone are kept; and between two goes others have their turn, and who has gone is noticed.
SLICE = 50_000
# Weight of the newest slice in what is believed of the thread's speed.
NEWEST = 0.2

Input = TypeVar("Input", bound=Sized)
Output = TypeVar("Output")


class TokenThread:
    """Reads the long inputs of everybody who asks, slices of each in turn."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "tokenizer")
        self._closed = False
        # What each who asks has still to be read, and the seconds that a character takes.
        self._left: dict[object, int] = {}
        self._pace = 0.0

    async def read(
        self,
        inputs: Sequence[Input],
        read: Callable[[Sequence[Input], int], Sequence[Output]],
        *,
        beside: int = 0,
        within: float | None = None,
    ) -> list[Output]:
        """Read inputs in their order; what is short in all is read at once, without the thread.

        Args:
            inputs: texts, or lists of token ids.
            read: gives something for each input of a slice; is told the place of the first. What it raises ends it all.
            beside: token ids that are written beside each input, and take time as those do.
            within: seconds in which all must be read; None waits for as long as it takes.

        Raises:
            OverloadedError: it cannot be, or was not, read in time.
            UnavailableError: the service is going down.
        """
        length = _length(inputs, beside)
        if length <= AT_ONCE:
            return list(read(inputs, 0))
        wait = self._wait(length)
        if within is not None and self._left and wait > within:
            raise overloaded(wait - within)
        try:
            async with asyncio.timeout(within):
                return await self._read_in_turn(inputs, read, beside)
        except TimeoutError:
            raise overloaded(self._wait(length)) from None

    def _wait(self, length: int) -> float:
        """Return the seconds until so much is read: while there is more of it, everybody else has a slice in turn."""
        turns = max(length, SLICE)
        return self._pace * (length + sum(min(left, turns) for left in self._left.values()))

    async def _read_in_turn(
        self, inputs: Sequence[Input], read: Callable[[Sequence[Input], int], Sequence[Output]], beside: int
    ) -> list[Output]:
        loop, asking = asyncio.get_running_loop(), object()
        done: list[Output] = []
        self._left[asking] = _length(inputs, beside)
        try:
            for first, part in _slices(inputs, beside):
                if self._closed:
                    raise UnavailableError("The service is going down.")
                results, seconds = await loop.run_in_executor(self._thread, _timed, read, part, first)
                done += results
                length = max(1, _length(part, beside))
                self._left[asking] -= length
                self._pace += (NEWEST if self._pace else 1) * (seconds / length - self._pace)
        finally:
            del self._left[asking]
        return done

    async def close(self) -> None:
        """End the thread when it has done its slice."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)


@asynccontextmanager
async def open_token_thread() -> AsyncIterator[TokenThread]:
    """Have a thread ready, which starts when it is first needed."""
    thread = TokenThread()
    try:
        yield thread
    finally:
        await thread.close()


def _timed(
    read: Callable[[Sequence[Input], int], Sequence[Output]], part: Sequence[Input], first: int
) -> tuple[Sequence[Output], float]:
    started = time.perf_counter()
    return read(part, first), time.perf_counter() - started


def _length(inputs: Sequence[Sized], beside: int) -> int:
    return sum(map(len, inputs)) + beside * len(inputs)


def _slices(inputs: Sequence[Input], beside: int) -> Iterator[tuple[int, Sequence[Input]]]:
    """Cut inputs into slices, each with the place of its first; what is longer than a slice is one by itself."""
    first = length = 0
    for at, each in enumerate(inputs):
        if at > first and length + beside + len(each) > SLICE:
            yield first, inputs[first:at]
            first, length = at, 0
        length += beside + len(each)
    yield first, inputs[first:]
