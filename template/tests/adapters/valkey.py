"""Ways to Valkey for the tests: the real server, one that is gone, and one that comes and goes."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import urlsplit

from pydantic import SecretStr

from app.adapters.valkey import ValkeySettings

VALKEY_URL = os.environ.get("APP_VALKEY__URL", "")


@contextmanager
def dead_valkey() -> Iterator[ValkeySettings]:
    """Settings for a port that is taken, so that nobody else listens there, but where nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield ValkeySettings(url=SecretStr(f"redis://127.0.0.1:{taken.getsockname()[1]}/0"))


class Gate:
    """A way to the real server that can be shut."""

    def __init__(self) -> None:
        self.is_open = True
        self._writers: set[asyncio.StreamWriter] = set()

    def shut(self) -> None:
        """Cut every connection and let none through."""
        self.is_open = False
        for writer in list(self._writers):
            writer.close()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        if not self.is_open:
            writer.close()
            return
        where = urlsplit(VALKEY_URL)
        there, to_there = await asyncio.open_connection(where.hostname, where.port)
        self._writers |= {writer, to_there}
        await asyncio.gather(self._copy(reader, to_there), self._copy(there, writer))
        self._writers -= {writer, to_there}

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def gated_valkey() -> AsyncIterator[tuple[Gate, ValkeySettings]]:
    """Offer a gate, and settings that lead through it."""
    gate = Gate()
    server = await asyncio.start_server(gate.pass_on, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield gate, ValkeySettings(url=SecretStr(f"redis://127.0.0.1:{port}/0"))
    finally:
        gate.shut()
        server.close()
        await server.wait_closed()
