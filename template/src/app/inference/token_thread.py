"""Tokenizing what is long: in a thread of its own, so that neither the event loop nor other threads are kept by it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence, Sized
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from app.errors import UnavailableError

# Characters, or token ids, that are read sooner than a thread is told to.
AT_ONCE = 2000
# Characters, or token ids, that are read in one go. A tokenizer makes a hundred bytes and more of each, of which the
# ids alone are kept; and between two goes others have their turn, and who has gone is noticed.
SLICE = 50_000

Input = TypeVar("Input", bound=Sized)
Output = TypeVar("Output")


class TokenThread:
    """Reads the long inputs of everybody who asks, slices of each in turn."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "tokenizer")
        self._closed = False

    async def read(
        self, inputs: Sequence[Input], read: Callable[[Sequence[Input], int], Sequence[Output]], *, beside: int = 0
    ) -> list[Output]:
        """Read inputs in their order; what is short in all is read at once, without the thread.

        Args:
            inputs: texts, or lists of token ids.
            read: gives something for each input of a slice; is told the place of the first. What it raises ends it all.
            beside: token ids that are written beside each input, and take time as those do.

        Raises:
            UnavailableError: the service is going down.
        """
        if sum(map(len, inputs)) + beside * len(inputs) <= AT_ONCE:
            return list(read(inputs, 0))
        loop = asyncio.get_running_loop()
        done: list[Output] = []
        for first, part in _slices(inputs, beside):
            if self._closed:
                raise UnavailableError("The service is going down.")
            done += await loop.run_in_executor(self._thread, read, part, first)
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


def _slices(inputs: Sequence[Input], beside: int) -> Iterator[tuple[int, Sequence[Input]]]:
    """Cut inputs into slices, each with the place of its first; what is longer than a slice is one by itself."""
    first = length = 0
    for at, each in enumerate(inputs):
        if at > first and length + beside + len(each) > SLICE:
            yield first, inputs[first:at]
            first, length = at, 0
        length += beside + len(each)
    yield first, inputs[first:]
