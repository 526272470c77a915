"""Pictures to boxes with an ONNX detector."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import structlog
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from app.errors import StartupError
from app.inference.ports import ModelSession
from app.inference.resident import Resident
from app.vision.letterbox import Size
from app.vision.manifest import DetectionModel
from app.vision.opening import PictureLimits
from app.vision.pictures import Picture, read_picture

log = structlog.get_logger(__name__)

Pixels = NDArray[np.uint8]


class DetectionSettings(BaseModel):
    """Which detector is used, what pictures it takes, and how fast they may come."""

    model_config = ConfigDict(extra="forbid")

    folder: Path = Field(default=Path("models/detection"), description="holds model.onnx and model.json")
    batch_size: int = Field(default=8, ge=1, le=256, description="pictures that run through the model together")
    decode_threads: int = Field(default=2, ge=1, le=64, description="pictures that are decoded at the same time")
    max_bytes: int = Field(default=10_000_000, ge=1, description="of one picture file")
    max_megapixels: int = Field(default=25, ge=1, le=500, description="of one picture, unpacked")
    stream_frames_per_second: int = Field(default=60, ge=1, description="that one connection may send")


@dataclass(frozen=True, slots=True)
class RawDetections:
    """What the model made of one picture.

    Attributes:
        output: float32 `[4 + labels, cells]`, in pixels of the model's input.
        milliseconds: how long the batch took that it ran in.
        batch: how many pictures were in that.
    """

    output: NDArray[np.float32]
    milliseconds: float
    batch: int


class Detector:
    """Decodes pictures in a few threads and runs the model in another, so that the event loop stays free."""

    def __init__(
        self, session: ModelSession, model: DetectionModel, settings: DetectionSettings, decoders: ThreadPoolExecutor
    ) -> None:
        self.settings = settings
        self.session = session
        self._decoders = decoders
        self._batch_size = min(settings.batch_size, model.manifest.max_batch)
        self._limits = PictureLimits(settings.max_bytes, settings.max_megapixels)
        self._into = Size(model.manifest.width, model.manifest.height)
        # One batch at a time: the session uses every core it was given, a second batch would only slow both.
        self._turn = asyncio.Lock()
        self.model = model

    @property
    def provider(self) -> str:
        """The execution provider that the model runs on."""
        return self.session.provider

    def resident(self) -> Resident:
        """Offer the model to callers who send tensors instead of pictures."""
        manifest = self.model.manifest
        shape = {manifest.input: (1, 3, manifest.height, manifest.width)}
        return Resident(manifest.name, manifest.version, self.session, self._batch_size, warm_up=shape)

    async def read(self, content: bytes | str) -> Picture:
        """Decode a picture, given as a file or as a file in base64; raises what `read_picture` raises."""
        work = partial(read_picture, content, self._limits, self._into)
        return await asyncio.get_running_loop().run_in_executor(self._decoders, work)

    async def detect(self, pictures: Sequence[Pixels]) -> list[RawDetections]:
        """Run pictures of the model's size, uint8 `[height, width, 3]`, through the model."""
        found: list[RawDetections] = []
        for start in range(0, len(pictures), self._batch_size):
            async with self._turn:
                found += await asyncio.to_thread(self._run, pictures[start : start + self._batch_size])
        return found

    def _run(self, pictures: Sequence[Pixels]) -> list[RawDetections]:
        batch = np.stack(pictures).transpose(0, 3, 1, 2).astype(np.float32)
        batch /= 255
        started = time.perf_counter()
        [outputs] = self.session.run({self.model.manifest.input: np.ascontiguousarray(batch)})
        milliseconds = (time.perf_counter() - started) * 1000
        return [RawDetections(output.astype(np.float32, copy=False), milliseconds, len(batch)) for output in outputs]

    async def warm_up(self) -> None:
        """Run the smallest and the largest batch, so that the first request is as fast as the next.

        Raises:
            StartupError: the graph does not do what the manifest says.
        """
        manifest = self.model.manifest
        grey = np.full((manifest.height, manifest.width, 3), 127, dtype=np.uint8)
        for count in (1, self._batch_size):
            try:
                found = await self.detect([grey] * count)
            except Exception as error:
                raise StartupError(f"The graph {self.model.graph} cannot run as its manifest says: {error}") from error
            rows = 4 + len(manifest.labels)
            shapes = {each.output.shape[:1] if each.output.ndim == 2 else () for each in found}  # noqa: PLR2004
            if len(found) != count or shapes != {(rows,)}:
                raise StartupError(
                    f"The graph {self.model.graph} does not give [batch, {rows}, cells], as a detector of "
                    f"{len(manifest.labels)} labels should; export it without suppression built in."
                )


@asynccontextmanager
async def open_detector(
    settings: DetectionSettings, session: ModelSession, model: DetectionModel
) -> AsyncIterator[Detector]:
    """Join a session with threads that decode, and warm it up.

    Raises:
        StartupError: the graph does not do what the manifest says.
    """
    with ThreadPoolExecutor(settings.decode_threads, thread_name_prefix="decoder") as decoders:
        detector = Detector(session, model, settings, decoders)
        await detector.warm_up()
        log.info("detection_model.ready", model=model.identity, provider=session.provider)
        yield detector
        decoders.shutdown(wait=False, cancel_futures=True)
