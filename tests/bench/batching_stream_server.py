"""The emitted stream of detections behind a plain WebSocket route, which trusts whoever comes.

Run as `python batching_stream_server.py PORT`.
"""

from __future__ import annotations

import logging
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
import uvicorn
from app.auth.caller import Caller, Scope
from app.inference.capacity import BatchingSettings
from app.vision.detector import DetectionSettings, Detector, open_detector
from app.vision.frames import FrameRate
from app.vision.manifest import load_detection_model
from app.vision.service import DetectionLimits, DetectionService
from app.vision.stream import DetectionStream, first_failure
from batching_sessions import Session
from fastapi import FastAPI, WebSocket

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MODEL = Path(__file__).resolve().parents[2] / "template/models/detection"
ENDLESS = 1_000_000


@asynccontextmanager
async def open_demonstration() -> AsyncIterator[Detector]:
    """Open the demonstration detector as the service does."""
    model = load_detection_model(MODEL)

    @asynccontextmanager
    async def session(threads: int) -> AsyncIterator[Session]:
        yield Session(model.graph, threads)

    async with open_detector(DetectionSettings(folder=MODEL), BatchingSettings(), session, model) as detector:
        yield detector


def make_app() -> FastAPI:
    """Build the server."""
    services: list[DetectionService] = []

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with open_demonstration() as detector:
            services.append(DetectionService(detector))
            yield

    app = FastAPI(lifespan=lifespan)

    async def stream_detections(websocket: WebSocket) -> None:
        await websocket.accept()
        caller = Caller(uuid4(), frozenset(Scope))

        async def authenticate() -> Caller:
            return caller

        settings = services[0].detector.settings
        stream = DetectionStream(services[0], authenticate, DetectionLimits(), settings.max_bytes, FrameRate(ENDLESS))
        await websocket.send_text(stream.ready().model_dump_json())

        async def receive() -> None:
            while (message := await websocket.receive())["type"] != "websocket.disconnect":
                stream.accept(message)

        async def answer() -> None:
            while True:
                await websocket.send_text((await stream.answer()).model_dump_json())

        await first_failure(receive(), stream.process(), answer())

    # The annotation is a name of this module's, which FastAPI reads from there.
    app.add_api_websocket_route("/stream", stream_detections)
    return app


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    uvicorn.run(make_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
