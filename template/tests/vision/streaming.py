"""The service behind a real socket, and clients of its stream."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from app.inference.ports import Tensor, TensorSpec

PATH = "/v1/detections/stream"


@asynccontextmanager
async def serving(application: FastAPI) -> AsyncIterator[str]:
    """Serve a started application on a port of its own; gives the address of the stream."""
    server = uvicorn.Server(uvicorn.Config(application, port=0, lifespan="off", log_config=None))
    running = asyncio.create_task(server.serve())
    while not server.started:
        assert not running.done()
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"ws://127.0.0.1:{port}{PATH}"
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def streaming(url: str, key: str, **options: Any) -> AsyncIterator[ClientConnection]:  # noqa: ANN401
    """Connect with a key and read the first message."""
    headers = {"Authorization": f"Bearer {key}"}
    async with connect(url, additional_headers=headers, max_size=None, proxy=None, **options) as socket:
        assert (await read(socket))["type"] == "ready"
        yield socket


@asynccontextmanager
async def browsing(url: str, *protocols: str) -> AsyncIterator[ClientConnection]:
    """Connect as a browser does: with subprotocols, without headers."""
    offered = [Subprotocol(each) for each in protocols]
    async with connect(url, subprotocols=offered or None, proxy=None) as socket:
        yield socket


async def read(socket: ClientConnection) -> dict[str, Any]:
    """Read one message."""
    message: dict[str, Any] = json.loads(await socket.recv())
    return message


async def end_of(socket: ClientConnection) -> tuple[int, str]:
    """Read until the server closes; gives code and reason."""
    with suppress(ConnectionClosed):
        while True:
            await socket.recv()
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""


def binary(frame_id: int, picture: bytes) -> bytes:
    """Write a frame as bytes."""
    return frame_id.to_bytes(8) + picture


@dataclass
class GatedSession:
    """A model that finds nothing, and is done when the test opens the gate."""

    rows: int
    provider: str = "CPUExecutionProvider"
    output_names: list[str] = field(default_factory=lambda: ["output0"])
    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()
    entered: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Wait at the gate."""
        [batch] = inputs.values()
        self.entered.set()
        assert self.gate.wait(60)
        return [np.zeros((len(batch), self.rows, 10), dtype=np.float32)]
