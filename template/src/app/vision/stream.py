"""Object detection in a stream of frames: the newest frame is processed, older waiting frames are dropped."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from pydantic import BaseModel

from app.auth.caller import Caller
from app.cancellation import cancel_and_wait
from app.errors import AppError, CallerError
from app.vision.frames import POLICY_VIOLATION, Frame, FrameId, FrameRate, LatestFrame, StreamRefusedError, read_frame
from app.vision.schemas import DetectionList, PictureProblem, detection_list, picture_problem
from app.vision.service import DetectionLimits, DetectionService

# Credentials are checked again after this time: a revoked key or an expired token ends its stream within this time plus
# `APP_AUTH__CACHE_SECONDS`.
TRUST_SECONDS = 60.0
# Frames of a stream in progress: while one runs through the model, the next is decoded.
MAX_CONCURRENT_FRAMES = 2

Message = dict[str, object]


class StreamReady(BaseModel):
    """The first message: the credentials are valid, and the client may send frames."""

    type: Literal["ready"] = "ready"
    model_version: str
    max_bytes: int
    frames_per_second: int


class FrameResult(DetectionList):
    """The detections in a frame; `dropped` counts the stream's frames so far that newer ones replaced."""

    type: Literal["result"] = "result"
    frame_id: FrameId
    dropped: int


class FrameFailure(BaseModel):
    """The error of a frame that could not be processed; the stream continues."""

    type: Literal["error"] = "error"
    frame_id: FrameId
    dropped: int
    error: PictureProblem


@dataclass
class DetectionStream:
    """One client's detection stream, independent of the WebSocket.

    Attributes:
        service: detects the objects.
        authenticate: authenticates the client; called again every `TRUST_SECONDS` while frames arrive.
        limits: limits on the returned detections.
        max_bytes: maximum size of a picture file.
        rate: limits the rate of frames.
        clock: monotonic clock in seconds; replaced in tests.
    """

    service: DetectionService
    authenticate: Callable[[], Awaitable[Caller]]
    limits: DetectionLimits
    max_bytes: int
    rate: FrameRate
    clock: Callable[[], float] = time.monotonic
    latest: LatestFrame = field(default_factory=LatestFrame)
    _tasks: "asyncio.Queue[asyncio.Task[FrameResult | FrameFailure]]" = field(default_factory=asyncio.Queue)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_CONCURRENT_FRAMES))
    _caller: Caller | None = None
    _trusted_until: float = 0.0

    def ready(self) -> StreamReady:
        """Return the message that opens the stream."""
        model = self.service.detector.model.identity
        return StreamReady(model_version=model, max_bytes=self.max_bytes, frames_per_second=self.rate.per_second)

    async def caller(self) -> Caller:
        """Return the authenticated caller, cached for `TRUST_SECONDS`.

        Raises:
            StreamRefusedError: the credentials are invalid or insufficient (1008).
            UpstreamError: authentication is unavailable.
        """
        if self._caller is None or self.clock() >= self._trusted_until:
            try:
                self._caller = await self.authenticate()
            except CallerError as error:
                raise StreamRefusedError(POLICY_VIOLATION, error.detail) from error
            self._trusted_until = self.clock() + TRUST_SECONDS
        return self._caller

    def accept(self, message: Message) -> None:
        """Accept a message of the client; its frame replaces one that still waits.

        Raises:
            StreamRefusedError: the message is not a frame (1003), is too large (1009) or exceeds the rate (1008).
        """
        self.rate.count()
        self.latest.put(read_frame(message, self.max_bytes))

    async def process(self) -> None:
        """Process frames as they arrive, until cancelled."""
        newest = deque[asyncio.Task[FrameResult | FrameFailure]](maxlen=MAX_CONCURRENT_FRAMES)
        try:
            while True:
                await self._slots.acquire()
                task = asyncio.create_task(self._process(await self.latest.take()))
                newest.append(task)
                self._tasks.put_nowait(task)
        finally:
            await cancel_and_wait(*newest)

    async def answer(self) -> FrameResult | FrameFailure:
        """Wait for the next frame's result; results are in the order of the frames.

        Raises:
            StreamRefusedError: the credentials are no longer valid (1008).
        """
        task = await self._tasks.get()
        try:
            return await task
        finally:
            self._slots.release()

    async def _process(self, frame: Frame) -> FrameResult | FrameFailure:
        try:
            caller = await self.caller()
            result = detection_list(await self.service.detect_unrecorded(frame.content, self.limits, caller=caller))
        except AppError as error:
            return self._failure(frame, error)
        return FrameResult(frame_id=frame.frame_id, dropped=self.latest.dropped, **dict(result))

    def _failure(self, frame: Frame, error: AppError) -> FrameFailure:
        return FrameFailure(frame_id=frame.frame_id, dropped=self.latest.dropped, error=picture_problem(error))


async def first_failure(*parts: Awaitable[None]) -> None:
    """Run awaitables concurrently until the first ends or fails, then cancel the others; raises its exception."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_and_wait(*tasks)
    for task in done:
        task.result()
