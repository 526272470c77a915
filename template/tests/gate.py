"""A proxy to a real server that tests can cut or silence."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Gate:
    """Forwards connections to a server.

    Attributes:
        port: where it listens on the loopback interface.
        is_open: whether new connections are forwarded.
        is_silent: whether data is dropped; a connection that has lost data stays silent for good.
    """

    def __init__(self, host: str, target: int) -> None:
        self.port = 0
        self.is_open = True
        self.is_silent = False
        self._where = host, target
        self._writers: set[asyncio.StreamWriter] = set()

    def shut(self) -> None:
        """Close all connections and reject new ones."""
        self.is_open = False
        for writer in list(self._writers):
            writer.close()

    async def pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection."""
        if not self.is_open:
            writer.close()
            return
        there, to_there = await asyncio.open_connection(*self._where)
        self._writers |= {writer, to_there}
        await asyncio.gather(self._copy(reader, to_there), self._copy(there, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self.is_silent:
                    return
                writer.write(data)
                await writer.drain()
        writer.close()
        self._writers.discard(writer)


@asynccontextmanager
async def open_gate(host: str, port: int) -> AsyncIterator[Gate]:
    """Open a gate to a server, and shut it at the end."""
    gate = Gate(host, port)
    server = await asyncio.start_server(gate.pass_on, "127.0.0.1", 0)
    gate.port = server.sockets[0].getsockname()[1]
    try:
        yield gate
    finally:
        gate.shut()
        server.close()
        await server.wait_closed()
