"""Object detection in a stream of frames, where the latest frame wins and stale ones are dropped."""

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
from app.vision.service import DetectionService, Wanted

# A key that was revoked, or a token that has expired, ends its stream after this time, and what
# `APP_AUTH__CACHE_SECONDS` adds to it, at the latest.
TRUST_SECONDS = 60.0
# Frames of a stream that are looked at: while the model has one, the next is decoded.
UNDER_WAY = 2

Message = dict[str, object]


class StreamReady(BaseModel):
    """The first message: the credentials hold; frames may come."""

    type: Literal["ready"] = "ready"
    model_version: str
    max_bytes: int
    frames_per_second: int


class FrameResult(DetectionList):
    """What a frame holds; `dropped` counts the frames of this stream so far that newer ones replaced."""

    type: Literal["result"] = "result"
    frame_id: FrameId
    dropped: int


class FrameFailure(BaseModel):
    """Why a frame could not be looked at; the stream goes on."""

    type: Literal["error"] = "error"
    frame_id: FrameId
    dropped: int
    error: PictureProblem


@dataclass
class DetectionStream:
    """One client's stream, apart from the socket that carries it.

    Attributes:
        service: finds the objects.
        authenticate: tells who the client is, again and again.
        wanted: which objects are told.
        max_bytes: largest picture file.
        rate: how fast frames may come.
        clock: seconds, for tests.
    """

    service: DetectionService
    authenticate: Callable[[], Awaitable[Caller]]
    wanted: Wanted
    max_bytes: int
    rate: FrameRate
    clock: Callable[[], float] = time.monotonic
    latest: LatestFrame = field(default_factory=LatestFrame)
    _looks: "asyncio.Queue[asyncio.Task[FrameResult | FrameFailure]]" = field(default_factory=asyncio.Queue)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(UNDER_WAY))
    _caller: Caller | None = None
    _trusted_until: float = 0.0

    def ready(self) -> StreamReady:
        """Return the message that opens the stream."""
        model = self.service.detector.model.identity
        return StreamReady(model_version=model, max_bytes=self.max_bytes, frames_per_second=self.rate.per_second)

    async def caller(self) -> Caller:
        """Return who the client is, as of the last minute.

        Raises:
            StreamRefusedError: its credentials do not hold or do not suffice (1008).
            UpstreamError: this cannot be told at the moment.
        """
        if self._caller is None or self.clock() >= self._trusted_until:
            try:
                self._caller = await self.authenticate()
            except CallerError as error:
                raise StreamRefusedError(POLICY_VIOLATION, error.detail) from error
            self._trusted_until = self.clock() + TRUST_SECONDS
        return self._caller

    def accept(self, message: Message) -> None:
        """Take a message of the client; the frame that waits gives way to a newer one.

        Raises:
            StreamRefusedError: it is no frame (1003), too large (1009), or comes too fast (1008).
        """
        self.rate.count()
        self.latest.put(read_frame(message, self.max_bytes))

    async def look(self) -> None:
        """Look at frames as they come, until this is cancelled."""
        newest = deque[asyncio.Task[FrameResult | FrameFailure]](maxlen=UNDER_WAY)
        try:
            while True:
                await self._places.acquire()
                look = asyncio.create_task(self._look_at(await self.latest.take()))
                newest.append(look)
                self._looks.put_nowait(look)
        finally:
            await cancel_and_wait(*newest)

    async def answer(self) -> FrameResult | FrameFailure:
        """Wait for what was seen in the next frame, in the order in which they came.

        Raises:
            StreamRefusedError: the credentials no longer hold (1008).
        """
        look = await self._looks.get()
        try:
            return await look
        finally:
            self._places.release()

    async def _look_at(self, frame: Frame) -> FrameResult | FrameFailure:
        try:
            caller = await self.caller()
            result = detection_list(await self.service.look(frame.content, self.wanted, caller=caller))
        except AppError as error:
            return self._failure(frame, error)
        return FrameResult(frame_id=frame.frame_id, dropped=self.latest.dropped, **dict(result))

    def _failure(self, frame: Frame, error: AppError) -> FrameFailure:
        return FrameFailure(frame_id=frame.frame_id, dropped=self.latest.dropped, error=picture_problem(error))


async def first_failure(*parts: Awaitable[None]) -> None:
    """Run endless parts side by side until the first ends or fails; the others are cancelled.

    Raises:
        Exception: what that part raised.
    """
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel_and_wait(*tasks)
    for task in done:
        task.result()
