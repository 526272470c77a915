"""Load for the servers of the batching benchmark: callers that wait for their answers, and callers that do not."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Tally:
    """What came back.

    Attributes:
        served: seconds until each answer with 200.
        refused: seconds until each answer with 503.
        lost: requests without an answer, or with another one.
    """

    served: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    lost: int = 0

    def count(self, status: int, seconds: float) -> None:
        """Take in one answer."""
        if status == 200:
            self.served.append(seconds)
        elif status == 503:
            self.refused.append(seconds)
        else:
            self.lost += 1


class Connection:
    """A kept-alive HTTP/1.1 connection, as cheap as one can be: the load must not cost what it measures."""

    def __init__(self, port: int) -> None:
        """Remember where to go."""
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, raw: bytes) -> int:
        """Send a request and return the status of its answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
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


def request(path: str, payload: Any) -> bytes:  # noqa: ANN401
    """Write a request once, to be sent many times."""
    body = json.dumps({"input": payload}).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def closed_loop(port: int, requests: Sequence[bytes], callers: int, seconds: float) -> tuple[float, Tally]:
    """Let callers ask again as soon as they have an answer; gives answers per second after a warm-up of a fifth."""
    tally, begin = Tally(), time.perf_counter() + seconds / 5
    end = begin + seconds

    async def call(first: int) -> None:
        connection, at = Connection(port), first
        while (sent := time.perf_counter()) < end:
            status = await connection.post(requests[at % len(requests)])
            got = time.perf_counter()
            if begin <= got < end:
                tally.count(status, got - sent)
            at += callers
        connection.close()

    await asyncio.gather(*map(call, range(callers)))
    return len(tally.served) / seconds, tally


async def open_loop(port: int, requests: Sequence[bytes], rate: float, seconds: float) -> Tally:
    """Send at a steady rate whatever comes back."""
    tally, idle = Tally(), list[Connection]()

    async def call(raw: bytes) -> None:
        connection = idle.pop() if idle else Connection(port)
        sent = time.perf_counter()
        try:
            tally.count(await connection.post(raw), time.perf_counter() - sent)
        except (OSError, asyncio.IncompleteReadError):
            tally.lost += 1
            connection.close()
        else:
            idle.append(connection)

    begin = time.perf_counter()
    calls = []
    for at in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begin + at / rate - time.perf_counter()))
        calls.append(asyncio.create_task(call(requests[at % len(requests)])))
    await asyncio.gather(*calls)
    for connection in idle:
        connection.close()
    return tally
