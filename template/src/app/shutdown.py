"""Graceful shutdown of long-lived connections.

The server cuts them as soon as it receives a signal. While such connections are open, signals are delayed for a moment,
so that each can be closed by its protocol.
"""

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

PATIENCE_SECONDS = 2.0


class ShutdownNotifier:
    """Tells long-lived connections that the process is about to end, and waits for them to close."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()
        self._none_open = asyncio.Event()
        self._none_open.set()
        self._open = 0

    @property
    def has_connections(self) -> bool:
        """Whether any long-lived connection is open."""
        return self._open > 0

    @contextmanager
    def connection(self) -> Iterator[None]:
        """Count a connection while the block runs."""
        self._open += 1
        self._none_open.clear()
        try:
            yield
        finally:
            self._open -= 1
            if not self._open:
                self._none_open.set()

    async def wait(self) -> None:
        """Wait until the process is about to end."""
        await self._begun.wait()

    async def notify(self) -> None:
        """Announce the shutdown and wait, at most two seconds, until every connection has closed."""
        self._begun.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._none_open.wait()


@contextmanager
def notify_on_signals(shutdown: ShutdownNotifier) -> Iterator[None]:
    """Announce the shutdown on a signal and pass the signal on afterwards; a second one passes at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = {number: handler for number in numbers if callable(handler := signal.getsignal(number))}
    farewells: list[asyncio.Task[None]] = []

    async def notify_and_pass_on(number: int, frame: FrameType | None) -> None:
        await shutdown.notify()
        handlers[signal.Signals(number)](number, frame)

    def on_signal(number: int, frame: FrameType | None) -> None:
        if farewells or not shutdown.has_connections:
            handlers[signal.Signals(number)](number, frame)
            return
        loop.call_soon_threadsafe(lambda: farewells.append(loop.create_task(notify_and_pass_on(number, frame))))

    for number in handlers:
        signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            if signal.getsignal(number) is on_signal:
                signal.signal(number, handler)
