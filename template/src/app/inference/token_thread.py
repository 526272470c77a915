"""A dedicated thread for tokenizing long inputs, so that they block neither the event loop nor other threads."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from app.errors import UnavailableError
from app.inference.submission import overloaded

# Up to this many characters or token ids are tokenized directly: faster than using the thread.
AT_ONCE = 2000
# Characters or token ids per slice. A tokenizer needs a hundred bytes and more for each, of which only the ids are
# kept. Between slices other requests get their turn and cancellation takes effect.
SLICE = 50_000
# Weight of the newest slice in the moving average of the thread's speed.
NEWEST = 0.2

Input = TypeVar("Input", bound=Sized)
Output = TypeVar("Output")


class TokenThread:
    """Tokenizes long inputs in one thread, alternating between slices of concurrent requests."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "tokenizer")
        self._closed = False
        # Remaining characters per request, and the average seconds per character.
        self._left: dict[object, int] = {}
        self._pace = 0.0

    async def read(
        self,
        inputs: Sequence[Input],
        read: Callable[[Sequence[Input], int], Sequence[Output]],
        *,
        extra_tokens: int = 0,
        within: float | None = None,
    ) -> list[Output]:
        """Tokenize inputs in order; if they are short in total, directly, without the thread.

        Args:
            inputs: texts, or lists of token ids.
            read: tokenizes a slice, given its inputs and the index of the first; its exceptions propagate.
            extra_tokens: number of token ids added to each input, which take time as well.
            within: deadline in seconds; None waits indefinitely.

        Raises:
            OverloadedError: the deadline cannot be met, or has passed.
            UnavailableError: the service is shutting down.
        """
        length = _length(inputs, extra_tokens)
        if length <= AT_ONCE:
            return list(read(inputs, 0))
        wait = self._wait(length)
        if within is not None and self._left and wait > within:
            raise overloaded(wait - within)
        try:
            async with asyncio.timeout(within):
                return await self._read_in_turn(inputs, read, extra_tokens)
        except TimeoutError:
            raise overloaded(self._wait(length)) from None

    def _wait(self, length: int) -> float:
        """Return the expected seconds for this length, while every other request gets as many slices in turn."""
        turns = max(length, SLICE)
        return self._pace * (length + sum(min(left, turns) for left in self._left.values()))

    async def _read_in_turn(
        self, inputs: Sequence[Input], read: Callable[[Sequence[Input], int], Sequence[Output]], extra_tokens: int
    ) -> list[Output]:
        loop, request = asyncio.get_running_loop(), object()
        done: list[Output] = []
        self._left[request] = _length(inputs, extra_tokens)
        try:
            for first, part in _slices(inputs, extra_tokens):
                if self._closed:
                    raise UnavailableError("The service is shutting down.")
                results, seconds = await loop.run_in_executor(self._thread, _timed, read, part, first)
                done += results
                length = max(1, _length(part, extra_tokens))
                self._left[request] -= length
                self._pace += (NEWEST if self._pace else 1) * (seconds / length - self._pace)
        finally:
            del self._left[request]
        return done

    async def close(self) -> None:
        """Stop the thread after its current slice."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)


@asynccontextmanager
async def open_token_thread() -> AsyncIterator[TokenThread]:
    """Open a tokenizer thread, which starts on first use; on exit it stops."""
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


def _length(inputs: Sequence[Sized], extra_tokens: int) -> int:
    return sum(map(len, inputs)) + extra_tokens * len(inputs)


def _slices(inputs: Sequence[Input], extra_tokens: int) -> Iterator[tuple[int, Sequence[Input]]]:
    """Yield slices of inputs, each with the index of its first; an input longer than `SLICE` forms its own slice."""
    first = length = 0
    for at, each in enumerate(inputs):
        if at > first and length + extra_tokens + len(each) > SLICE:
            yield first, inputs[first:at]
            first, length = at, 0
        length += extra_tokens + len(each)
    yield first, inputs[first:]
