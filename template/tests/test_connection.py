"""Tests of clients that disconnect while they are served."""

import asyncio

import pytest
from fastapi import Request
from starlette.types import Message

from app.connection import while_connected
from app.errors import ClientGoneError


class Client:
    """A client that disconnects when the test says so."""

    def __init__(self) -> None:
        self.leaves = asyncio.Event()

    async def receive(self) -> Message:
        """Wait until the client disconnects."""
        await self.leaves.wait()
        return {"type": "http.disconnect"}

    @property
    def request(self) -> Request:
        """Return the client's request."""
        return Request({"type": "http"}, self.receive)


async def test_work_for_a_client_that_stays_is_done() -> None:
    async def work() -> str:
        await asyncio.sleep(0)
        return "done"

    assert await while_connected(Client().request, work()) == "done"


async def test_errors_of_the_work_are_its_own() -> None:
    async def work() -> None:
        raise ValueError("of its own")

    with pytest.raises(ValueError, match="of its own"):
        await while_connected(Client().request, work())


async def test_work_is_cancelled_when_its_client_goes() -> None:
    client, begun, cancelled = Client(), asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    doing = asyncio.create_task(while_connected(client.request, work()))
    await begun.wait()
    client.leaves.set()
    with pytest.raises(ClientGoneError):
        await doing
    assert cancelled.is_set()
