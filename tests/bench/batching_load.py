"""Load for the servers of the batching benchmark: callers that wait for their answers, and callers that do not."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import uvloop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass
class Tally:
    """What came back.

    Attributes:
        served: seconds until each answer with 200.
        refused: seconds until each answer with 503.
        lost: requests without an answer, or with another one.
        moments: when each answer came, by the clock of `perf_counter`, and its status.
        late: seconds by which the load itself sent later than it meant to.
    """

    served: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    lost: int = 0
    moments: list[tuple[float, int]] = field(default_factory=list)
    late: list[float] = field(default_factory=list)

    def count(self, status: int, sent: float, got: float) -> None:
        """Take in one answer."""
        self.moments.append((got, status))
        if status == 200:
            self.served.append(got - sent)
        elif status == 503:
            self.refused.append(got - sent)
        else:
            self.lost += 1


class Connection:
    """A kept-alive HTTP/1.1 connection, as cheap as one can be: the load must not cost what it measures."""

    def __init__(self, port: int) -> None:
        """Remember where to go."""
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, if that is still to be done."""
        if self._streams is None or self._streams[0].at_eof():  # servers hang up on those who say nothing for long
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        return self._streams

    async def post(self, raw: bytes) -> int:
        """Send a request and return the status of its answer."""
        reader, writer = await self.open()
        writer.write(raw)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        return int(head[9:12])

    def close(self) -> None:
        """Hang up."""
        if self._streams:
            self._streams[1].close()
        self._streams = None


def request(payload: Any, path: str = "/run", key: str = "input") -> bytes:  # noqa: ANN401
    """Write a request once, to be sent many times."""
    body = json.dumps({key: payload}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def closed_loop(port: int, requests: Sequence[bytes], callers: int, seconds: float) -> tuple[float, Tally]:
    """Let callers ask again as soon as they have an answer; gives answers per second after a warm-up of a fifth."""
    tally, begin = Tally(), time.perf_counter() + seconds / 5
    end = begin + seconds

    async def call(first: int) -> None:
        connection, at = Connection(port), first
        while (sent := time.perf_counter()) < end:
            status = await connection.post(requests[at % len(requests)])
            got = time.perf_counter()
            if begin <= got < end:
                tally.count(status, sent, got)
            at += callers
        connection.close()

    async def call_all() -> None:
        await asyncio.gather(*map(call, range(callers)))

    uvloop.run(call_all())
    return len(tally.served) / seconds, tally


def open_loop(
    port: int, requests: Sequence[bytes], rate: float, seconds: float, *, watch: Callable[[], object]
) -> Tally:
    """Send at a steady rate whatever comes back; `watch` is called twice a second, in a thread."""
    # Taken in turns: a connection that says nothing for some seconds is hung up on.
    tally, idle = Tally(), deque[Connection]()

    async def call(raw: bytes) -> None:
        connection = idle.popleft() if idle else Connection(port)
        sent = time.perf_counter()
        try:
            tally.count(await connection.post(raw), sent, time.perf_counter())
        except (OSError, asyncio.IncompleteReadError):
            tally.lost += 1
            connection.close()
        else:
            idle.append(connection)

    async def send_all() -> None:
        watching = asyncio.create_task(_repeat(watch))
        begin, calls = time.perf_counter(), []
        for at in range(int(rate * seconds)):
            due = begin + at / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tally.late.append(time.perf_counter() - due)
            calls.append(asyncio.create_task(call(requests[at % len(requests)])))
        await asyncio.gather(*calls)
        watching.cancel()
        for connection in idle:
            connection.close()

    uvloop.run(send_all())
    return tally


async def _repeat(watch: Callable[[], object]) -> None:
    while True:
        await asyncio.to_thread(watch)
        await asyncio.sleep(0.5)


def first_answer(port: int, raw: bytes, seconds: float) -> int:
    """Wait until a server that listens already also answers; gives the status."""
    return uvloop.run(asyncio.wait_for(Connection(port).post(raw), seconds))


def in_flight(port: int, raw: bytes, requests: int, then: Callable[[], object]) -> Tally:
    """Send requests at once, do something while they are being served, and take what comes back."""
    tally = Tally()

    async def call(connection: Connection) -> None:
        sent = time.perf_counter()
        try:
            tally.count(await connection.post(raw), sent, time.perf_counter())
        except (OSError, asyncio.IncompleteReadError):
            tally.lost += 1

    async def call_all() -> None:
        connections = [Connection(port) for _ in range(requests)]
        for connection in connections:
            await connection.open()
        calls = [asyncio.create_task(call(connection)) for connection in connections]
        await asyncio.sleep(0.15)
        then()
        await asyncio.gather(*calls)

    uvloop.run(call_all())
    return tally
