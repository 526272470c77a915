"""The service behind a real socket, and clients of its stream."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from app.bootstrap import Services
from app.inference.capacity import BatchingSettings
from app.inference.ports import ModelSession, Tensor, TensorSpec
from app.vision.detector import open_detector
from app.vision.service import DetectionService

PATH = "/v1/detections/stream"


@asynccontextmanager
async def serving(application: FastAPI) -> AsyncIterator[str]:
    """Serve a started application on a free port and return the stream's URL."""
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
    """Connect as a browser does: with subprotocols instead of headers."""
    offered = [Subprotocol(each) for each in protocols]
    async with connect(url, subprotocols=offered or None, proxy=None) as socket:
        yield socket


async def read(socket: ClientConnection) -> dict[str, Any]:
    """Read one message."""
    message: dict[str, Any] = json.loads(await socket.recv())
    return message


async def end_of(socket: ClientConnection) -> tuple[int, str]:
    """Read until the server closes, and return code and reason."""
    with suppress(ConnectionClosed):
        while True:
            await socket.recv()
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""


def binary(frame_id: int, picture: bytes) -> bytes:
    """Encode a frame in binary."""
    return frame_id.to_bytes(8) + picture


@dataclass
class GatedSession:
    """A model that finds nothing and waits until the test opens the gate.

    Attributes:
        batches: the number of pictures in each batch.
    """

    rows: int
    provider: str = "CPUExecutionProvider"
    output_names: list[str] = field(default_factory=lambda: ["output0"])
    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()
    batches: list[int] = field(default_factory=list)
    entered: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)
    _steps: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def let(self, batches: int) -> None:
        """Let this many batches pass the closed gate."""
        self._steps.release(batches)

    def run(self, inputs: Mapping[str, Tensor]) -> list[Tensor]:
        """Wait at the gate."""
        [batch] = inputs.values()
        self.batches.append(len(batch))
        self.entered.set()
        while not self._steps.acquire(timeout=0.01):
            if self.gate.is_set():
                break
        return [np.zeros((len(batch), self.rows, 10), dtype=np.float32)]


@asynccontextmanager
async def gated(
    application: FastAPI,
    services: Services,
    batching: BatchingSettings | None = None,
    **changes: int,
) -> AsyncIterator[GatedSession]:
    """Replace the detector's model by one that the test controls; `changes` are detector settings."""
    shipped = services.ports.detector
    session = GatedSession(rows=4 + len(shipped.model.manifest.labels))
    session.gate.set()

    @asynccontextmanager
    async def open_session(_: int) -> AsyncIterator[ModelSession]:
        yield session

    settings = shipped.settings.model_copy(update=changes)
    batching = batching or BatchingSettings(measure_seconds=0, lanes=1)
    async with open_detector(settings, batching, open_session, shipped.model) as detector:
        session.gate.clear()
        session.entered.clear()
        session.batches.clear()
        application.state.services = replace(services, detections=DetectionService(detector))
        try:
            yield session
        finally:
            session.gate.set()
