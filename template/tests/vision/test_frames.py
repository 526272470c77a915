"""Tests of the stream's rules, without a socket."""

import asyncio
import json
from dataclasses import dataclass, field

import pytest

from app.auth.caller import Caller, Scope
from app.errors import UnauthenticatedError, UnavailableError
from app.vision.frames import Frame, FrameRate, LatestFrame, StreamRefusedError, read_frame
from app.vision.service import DetectionLimits, DetectionService
from app.vision.stream import TRUST_SECONDS, DetectionStream, FrameFailure, first_failure
from tests.answers.fakes import caller


@dataclass
class Clock:
    """A clock that the test advances."""

    now: float = 100.0

    def __call__(self) -> float:
        """Return the current time."""
        return self.now


def frame(number: int) -> Frame:
    return Frame(number, b"x")


async def test_the_latest_frame_wins_and_the_others_are_counted() -> None:
    latest = LatestFrame()
    for number in range(10):
        latest.put(frame(number))
    assert (await latest.take()).frame_id == 9
    assert latest.dropped == 9
    latest.put(frame(10))
    assert (await latest.take()).frame_id == 10
    assert latest.dropped == 9


async def test_who_waits_for_a_frame_gets_the_next_one() -> None:
    latest = LatestFrame()
    waiting = asyncio.create_task(latest.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    latest.put(frame(1))
    assert (await waiting).frame_id == 1


def test_frames_may_come_as_fast_as_is_allowed_and_no_faster() -> None:
    clock = Clock()
    rate = FrameRate(10, clock)
    for _ in range(10):
        rate.count()
    with pytest.raises(StreamRefusedError, match="10 frames per second") as refusal:
        rate.count()
    assert refusal.value.code == 1008
    clock.now += 0.35
    for _ in range(3):
        rate.count()
    with pytest.raises(StreamRefusedError):
        rate.count()
    clock.now += 3600
    for _ in range(10):
        rate.count()
    with pytest.raises(StreamRefusedError):
        rate.count()


def test_a_frame_is_its_id_and_its_picture() -> None:
    assert read_frame({"bytes": (7).to_bytes(8) + b"picture"}, 100) == Frame(7, b"picture")
    for name in (7, "left camera/7"):
        text = json.dumps({"frame_id": name, "image": "eA=="})
        assert read_frame({"text": text}, 100) == Frame(name, "eA==")


@pytest.mark.parametrize(
    "message",
    [
        {"bytes": b""},
        {"bytes": b"12345678"},
        {"text": ""},
        {"text": "hello"},
        {"text": "[]"},
        {"text": '{"image": "eA=="}'},
        {"text": '{"frame_id": 1}'},
        {"text": '{"frame_id": 1, "image": 7}'},
        {"text": '{"frame_id": -1, "image": "eA=="}'},
        {"text": '{"frame_id": 1.5, "image": "eA=="}'},
        {"text": '{"frame_id": 1, "image": "eA==", "more": 1}'},
        {"text": json.dumps({"frame_id": "x" * 65, "image": "eA=="})},
    ],
)
def test_what_is_no_frame_is_unsupported(message: dict[str, object]) -> None:
    with pytest.raises(StreamRefusedError) as refusal:
        read_frame(message, 1000)
    assert refusal.value.code == 1003


def test_a_picture_over_the_limit_is_too_big_in_either_form() -> None:
    for message in ({"bytes": b"x" * 2000}, {"text": json.dumps({"frame_id": 1, "image": "A" * 2000})}):
        with pytest.raises(StreamRefusedError, match="1,000 bytes") as refusal:
            read_frame(message, 1000)
        assert refusal.value.code == 1009


@dataclass
class Door:
    """Authentication that the test can revoke or make fail."""

    is_open: bool = True
    is_broken: bool = False
    asked: int = 0
    scopes: frozenset[Scope] = field(default_factory=lambda: frozenset({Scope.DETECTIONS}))

    async def authenticate(self) -> Caller:
        """Return the caller, or raise."""
        self.asked += 1
        if self.is_broken:
            raise UnavailableError("The database cannot be reached at the moment.")
        if not self.is_open:
            raise UnauthenticatedError("The API key is not valid or has expired.")
        return caller()


def stream_through(door: Door, clock: Clock) -> DetectionStream:
    nothing = DetectionService.__new__(DetectionService)
    return DetectionStream(nothing, door.authenticate, DetectionLimits(), 100, FrameRate(10, clock), clock)


async def test_a_key_that_is_revoked_ends_its_stream_within_a_minute() -> None:
    clock, door = Clock(), Door()
    stream = stream_through(door, clock)
    await stream.caller()
    door.is_open = False
    clock.now += TRUST_SECONDS - 1
    await stream.caller()
    assert door.asked == 1
    clock.now += 1
    with pytest.raises(StreamRefusedError, match="not valid") as refusal:
        await stream.caller()
    assert refusal.value.code == 1008


async def test_frames_that_come_while_credentials_cannot_be_checked_fail_and_the_stream_goes_on() -> None:
    clock, door = Clock(), Door()
    stream = stream_through(door, clock)
    await stream.caller()
    clock.now += TRUST_SECONDS

    async def talk() -> None:
        door.is_broken = True
        for number in (1, 2):
            stream.latest.put(frame(number))
            answer = await stream.answer()
            assert isinstance(answer, FrameFailure)
            assert (answer.frame_id, answer.error.status) == (number, 503)
        door.is_broken, door.is_open = False, False
        stream.latest.put(frame(3))
        with pytest.raises(StreamRefusedError, match="not valid"):
            await stream.answer()

    await first_failure(talk(), stream.process())
