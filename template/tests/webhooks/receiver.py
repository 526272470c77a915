"""A webhook receiver on this machine with configurable answers."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Message:
    """A received message."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Return the message's id."""
        return self.headers["webhook-id"]

    @property
    def event(self) -> dict[str, Any]:
        """Return the message's content."""
        found: dict[str, Any] = json.loads(self.body)
        return found

    def is_signed_with(self, secret: str) -> bool:
        """Verify the signature step by step, as the specification says."""
        assert secret.startswith("whsec_")
        key = base64.b64decode(secret[6:], validate=True)
        content = f"{self.id}.{self.headers['webhook-timestamp']}.{self.body.decode()}"
        expected = base64.b64encode(hmac.new(key, content.encode(), hashlib.sha256).digest()).decode()
        version, _, signature = self.headers["webhook-signature"].partition(",")
        return version == "v1" and hmac.compare_digest(signature, expected)


@dataclass
class Receiver:
    """A handle on the running server.

    Attributes:
        answers: the statuses of the next answers; 204 when none are left.
        location: the target of redirects.
        seconds: the delay of each answer.
        is_silent: whether it never answers.
        is_endless: whether its answers never end.
    """

    url: str
    messages: list[Message] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    location: str = ""
    seconds: float = 0
    is_silent: bool = False
    is_endless: bool = False
    sender_left: asyncio.Event = field(default_factory=asyncio.Event)


@asynccontextmanager
async def serve_receiver() -> AsyncIterator[Receiver]:
    """Run the server on a free port while the block runs."""
    receiver = Receiver("")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await _serve_one(receiver, reader, writer)
        receiver.sender_left.set()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    receiver.url = f"http://{host}:{port}/hooks"
    try:
        yield receiver
    finally:
        server.close()
        await server.wait_closed()


async def _serve_one(receiver: Receiver, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers["content-length"]))
    receiver.messages.append(Message(headers, body))
    if receiver.is_silent:
        await reader.read()
        return
    await asyncio.sleep(receiver.seconds)
    status = receiver.answers.pop(0) if receiver.answers else 204
    location = f"location: {receiver.location}\r\n" if receiver.location else ""
    if receiver.is_endless:
        writer.write(f"HTTP/1.1 {status} Well\r\ntransfer-encoding: chunked\r\n\r\n".encode())
        while True:
            writer.write(b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
            await writer.drain()
    writer.write(f"HTTP/1.1 {status} Well\r\n{location}content-length: 0\r\n\r\n".encode())
    await writer.drain()
