"""Frames a second through the stream of detections, against the same detector in a bare loop."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import random
import statistics
import sys
import time
from typing import TYPE_CHECKING

import uvloop
from app.inference.capacity import available_cores
from app.vision.letterbox import Size
from app.vision.manifest import load_detection_model
from app.vision.opening import PictureLimits
from app.vision.pictures import read_picture
from app.vision.raw_detections import run_detector
from app.vision.suppression import read_yolo, suppress
from batching_results import Effort, Measured, at_least
from batching_serving import serving
from batching_sessions import Session
from batching_stream_server import MODEL
from PIL import Image, ImageDraw
from websockets.asyncio.client import connect

if TYPE_CHECKING:
    from pathlib import Path

SIZE = (640, 480)
FRAMES = 16
# More than can be looked at, as a camera sends.
OVER = 1.5


def drawn_frames() -> list[bytes]:
    """Draw JPEG files with a few shapes on a background that does not compress to nothing."""
    dice, frames = random.Random(3), []  # noqa: S311 - pictures, no secret
    for _ in range(FRAMES):
        image = Image.effect_noise(SIZE, 24).convert("RGB")
        draw = ImageDraw.Draw(image)
        for _ in range(5):
            x, y, side = dice.randrange(520), dice.randrange(360), dice.randrange(40, 120)
            draw.rectangle((x, y, x + side, y + side), fill=tuple(dice.randrange(256) for _ in range(3)))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=80)
        frames.append(file.getvalue())
    return frames


def bare_rate(session: Session, frames: list[bytes], seconds: float) -> float:
    """Decode, detect and suppress, one frame after the other; gives frames per second."""
    manifest = load_detection_model(MODEL).manifest
    limits, into = PictureLimits(10_000_000, 25), Size(manifest.width, manifest.height)
    begun, count = time.perf_counter(), 0
    while (taken := time.perf_counter() - begun) < seconds:
        picture = read_picture(frames[count % FRAMES], limits, into)
        [raw] = run_detector(session, manifest.input, [picture.pixels])
        boxes = suppress(read_yolo(raw.output, 0.25), 100)
        picture.letterbox.to_picture(boxes.corners)
        count += 1
    return count / taken


async def stream_rate(port: int, frames: list[bytes], rate: float, seconds: float) -> tuple[float, int]:
    """Send frames at a rate; gives results per second, and how many frames newer ones replaced."""
    async with connect(f"ws://127.0.0.1:{port}/stream", compression=None) as socket:
        await socket.recv()
        begin = time.perf_counter()

        async def send() -> None:
            for at in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, begin + at / rate - time.perf_counter()))
                await socket.send(at.to_bytes(8) + frames[at % FRAMES])

        sending, count, dropped = asyncio.create_task(send()), 0, 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while True:
                    result = json.loads(await socket.recv())
                    assert result["type"] == "result", result
                    count, dropped = count + 1, result["dropped"]
        taken = time.perf_counter() - begin
        sending.cancel()
    return count / taken, dropped


def stream(folder: Path, effort: Effort) -> Measured:
    """Compare the stream with the bare loop, in turn."""
    frames, ratios, rates, dropped = drawn_frames(), [], [], 0
    session = Session(load_detection_model(MODEL).graph, available_cores())
    bare_rate(session, frames, effort.seconds / 4)
    with serving([sys.executable, "batching_stream_server.py"], folder / "stream.log") as server:
        for _ in range(effort.rounds):
            before = bare_rate(session, frames, effort.seconds / 2)
            rate, late = uvloop.run(stream_rate(server.port, frames, OVER * before, effort.seconds))
            after = bare_rate(session, frames, effort.seconds / 2)
            rates.append(rate)
            ratios.append(rate / statistics.mean((before, after)))
            dropped += late
    more = f" ({statistics.median(rates):.0f} frames/s; {dropped} stale ones dropped)"
    what = f"stream of detections at {OVER} times what can be done: frames/s over a bare loop"
    return Measured([at_least(what, statistics.median(ratios), 0.8, more)])
