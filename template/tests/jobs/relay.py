"""A proxy to the queue or the database that a test can cut."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit


class Relay:
    """Forwards bytes to a server and back until it is cut.

    Attributes:
        url: the URL that clients connect to.
        missed: set when a client has connected while the relay was cut.
    """

    def __init__(self, server_url: str) -> None:
        self._server = urlsplit(server_url)
        self._cut = False
        self._writers: list[asyncio.StreamWriter] = []
        self.url = ""
        self.missed = asyncio.Event()
        self._lost = asyncio.Event()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Relay"]:
        """Forward connections until the block ends."""
        server = await asyncio.start_server(self._welcome, "127.0.0.1", 0)
        user, at, _ = self._server.netloc.rpartition("@")
        port = server.sockets[0].getsockname()[1]
        self.url = self._server._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl()
        async with server:
            yield self
            self.cut()

    def cut(self) -> None:
        """Abort every connection and reject new ones."""
        self._cut = True
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    def lose(self) -> None:
        """Drop all further data of the open connections without closing them; new connections work."""
        self._lost.set()
        self._lost = asyncio.Event()

    def mend(self) -> None:
        """Accept connections again."""
        self._cut = False

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            self.missed.set()
            writer.transport.abort()
            return
        answers, questions = await asyncio.open_connection(self._server.hostname, self._server.port)
        self._writers += [writer, questions]
        if self._cut:
            # The relay was cut while this connection was made.
            self.cut()
        lost = self._lost
        await asyncio.gather(_carry(reader, questions, lost), _carry(answers, writer, lost))


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event) -> None:
    try:
        while data := await reader.read(65536):
            if lost.is_set():
                continue
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
