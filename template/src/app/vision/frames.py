"""Frames of a detection stream, with limits on their rate and size."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field, ValidationError

from app.payloads import Payload
from app.vision.service import Content

UNSUPPORTED_DATA, POLICY_VIOLATION, TOO_BIG = 1003, 1008, 1009
ID_BYTES = 8

FrameId = Annotated[int, Field(ge=0, lt=2**64)] | Annotated[str, Field(max_length=64)]


class FrameMessage(Payload):
    """A text frame. A binary frame is the id (8 bytes, big-endian) followed by the picture file."""

    frame_id: FrameId
    image: str = Field(min_length=1, description="a PNG, JPEG or WebP file in base64")


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream."""

    frame_id: int | str
    content: Content


class StreamRefusedError(Exception):
    """The client violated the rules of the stream, which is closed with this code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def read_frame(message: Mapping[str, Any], max_bytes: int) -> Frame:
    """Parse a WebSocket message as a frame.

    Raises:
        StreamRefusedError: the message is not a frame (1003), or its picture is too large (1009).
    """
    if (data := message.get("bytes")) is not None:
        if len(data) <= ID_BYTES:
            raise StreamRefusedError(UNSUPPORTED_DATA, f"A binary frame is {ID_BYTES} bytes of id and a picture.")
        frame = Frame(int.from_bytes(data[:ID_BYTES]), data[ID_BYTES:])
        size = len(frame.content)
    else:
        try:
            text = FrameMessage.model_validate_json(message["text"])
        except ValidationError as error:
            raise StreamRefusedError(UNSUPPORTED_DATA, 'A text frame is {"frame_id": …, "image": base64}.') from error
        frame = Frame(text.frame_id, text.image)
        size = len(text.image) * 3 // 4
    # Allow for base64 padding and the prefix of a data: URL.
    if size > max_bytes + 100:
        raise StreamRefusedError(TOO_BIG, f"A picture may have at most {max_bytes:,} bytes.")
    return frame


class LatestFrame:
    """Holds the newest frame until it is taken; `dropped` counts frames that newer ones have replaced."""

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self._arrived = asyncio.Event()
        self.dropped = 0

    def put(self, frame: Frame) -> None:
        """Store a frame, in place of one that has not been taken."""
        self.dropped += self._frame is not None
        self._frame = frame
        self._arrived.set()

    async def take(self) -> Frame:
        """Wait for a frame, and remove and return it; for one consumer at a time."""
        while self._frame is None:
            self._arrived.clear()
            await self._arrived.wait()
        frame, self._frame = self._frame, None
        return frame


@dataclass
class FrameRate:
    """Token bucket: allow `per_second` frames per second, with bursts of the same size."""

    per_second: int
    clock: Callable[[], float] = time.monotonic
    _left: float = field(init=False)
    _seen: float = field(init=False)

    def __post_init__(self) -> None:
        self._left, self._seen = float(self.per_second), self.clock()

    def count(self) -> None:
        """Count a frame.

        Raises:
            StreamRefusedError: the rate is exceeded (1008).
        """
        now = self.clock()
        self._left = min(self.per_second, self._left + (now - self._seen) * self.per_second)
        self._seen = now
        if self._left < 1:
            raise StreamRefusedError(POLICY_VIOLATION, f"A stream may send {self.per_second} frames per second.")
        self._left -= 1
