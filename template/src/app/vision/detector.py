"""Runs an ONNX object detector on pictures."""

import asyncio
from collections.abc import AsyncIterator, Hashable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field

from app.errors import AppError
from app.inference.batching import Batcher, open_batcher
from app.inference.capacity import BatchingSettings, OpenSession, available_cores, open_capacity
from app.inference.ports import ModelSession
from app.inference.resident import Resident
from app.vision.decoding import decoding_units, open_decoders
from app.vision.letterbox import Size
from app.vision.manifest import DetectionModel, Manifest
from app.vision.opening import PictureLimits
from app.vision.pictures import Picture
from app.vision.raw_detections import Pixels, RawDetections, detector_workload, run_detector

log = structlog.get_logger(__name__)


class DetectionSettings(BaseModel):
    """Which detector is used, what pictures it takes, and how fast they may come."""

    model_config = ConfigDict(extra="forbid")

    folder: Path = Field(default=Path("models/detection"), description="holds model.onnx and model.json")
    batch_size: int = Field(default=8, ge=1, le=256, description="pictures that run through the model together")
    decode_threads: int = Field(default=2, ge=1, le=64, description="pictures that are decoded at the same time")
    max_bytes: int = Field(default=10_000_000, ge=1, description="of one picture file")
    max_megapixels: int = Field(default=25, ge=1, le=500, description="of one picture, unpacked")
    stream_frames_per_second: int = Field(default=60, ge=1, description="that one connection may send")

    def rows_of(self, manifest: Manifest) -> int:
        """Count the pictures that run through a detector together."""
        return min(self.batch_size, manifest.max_batch)


@dataclass(frozen=True, slots=True)
class Looked:
    """The raw detections of some pictures.

    Attributes:
        raws: one for each picture, in their order.
        queue_seconds: until the first of the pictures ran.
    """

    raws: list[RawDetections]
    queue_seconds: float


@dataclass(frozen=True, slots=True)
class Detector:
    """Decodes pictures and runs them through the detector in shared batches, off the event loop.

    Attributes:
        decoders: takes files, gives pictures or what is wrong with them.
        batcher: takes pixels, gives raw detections.
        session: the model.
        batch_size: pictures that may run together.
        deadline: seconds in which somebody who waits for an answer must have it; `within` of the calls.
    """

    decoders: Batcher
    batcher: Batcher
    session: ModelSession
    model: DetectionModel
    settings: DetectionSettings
    batch_size: int
    deadline: float

    @property
    def provider(self) -> str:
        """The execution provider that the model runs on."""
        return self.session.provider

    def resident(self) -> Resident:
        """Offer the model to callers who send tensors instead of pictures."""
        manifest = self.model.manifest
        shape = {manifest.input: (1, 3, manifest.height, manifest.width)}
        return Resident(manifest.name, manifest.version, self.session, self.batch_size, warm_up=shape)

    def admit(self, pictures: int, *, owner: Hashable, within: float) -> None:
        """Pass if the model could look at so many pictures in time, so that decoding them is worth its while.

        Raises:
            OverloadedError: it could not.
            UnavailableError: the service is going down.
        """
        self.batcher.admit(pictures, owner=owner, within=within)

    async def read(
        self, contents: Sequence[bytes | str], *, owner: Hashable = None, within: float | None = None
    ) -> list[Picture | AppError]:
        """Decode pictures, given as files or in base64; what `read_picture` raises takes the place of a bad one.

        Args:
            contents: any number of files.
            owner: who takes turns with other owners.
            within: seconds in which they are wanted; None waits for as long as it takes.

        Raises:
            OverloadedError: they cannot be had in time.
        """
        sizes = [decoding_units(content) for content in contents]
        return (await self.decoders.submit(contents, sizes, owner=owner, within=within)).results

    async def detect(
        self, pictures: Sequence[Pixels], *, owner: Hashable = None, within: float | None = None
    ) -> Looked:
        """Run pictures of the model's size, uint8 `[height, width, 3]`, through the model; otherwise as `read`."""
        done = await self.batcher.submit(pictures, [1] * len(pictures), owner=owner, within=within)
        return Looked(done.results, done.queue_seconds)

    async def ping(self) -> None:
        """Pass while pictures are taken.

        Raises:
            UnavailableError: the service is going down.
        """
        self.batcher.ping()


@asynccontextmanager
async def open_detector(
    settings: DetectionSettings,
    batching: BatchingSettings,
    open_session: OpenSession,
    model: DetectionModel,
    *,
    cores: int = 0,
) -> AsyncIterator[Detector]:
    """Join a model's sessions with threads that decode, warm and measured.

    Args:
        settings: what pictures are taken, and how many at a time.
        batching: how the model is shared.
        open_session: opens the model.
        model: what it is.
        cores: what its lanes may use together; 0 is every core that this process may use.

    Raises:
        StartupError: the graph does not do what the manifest says.
    """
    manifest, grace = model.manifest, batching.shutdown_grace
    rows = settings.rows_of(manifest)
    work = detector_workload(model, rows)
    limits, into = PictureLimits(settings.max_bytes, settings.max_megapixels), Size(manifest.width, manifest.height)
    decoding = open_decoders(f"{model.identity} decoding", limits, into, threads=settings.decode_threads, grace=grace)
    async with (
        decoding as decoders,
        open_capacity(batching, open_session, work, cores=cores or available_cores()) as capacity,
    ):
        session = capacity.sessions[0]
        # The measurement may have stopped before the largest batch, which must run all the same.
        await asyncio.to_thread(work.probe, session, rows)
        runs = [partial(run_detector, each, manifest.input) for each in capacity.sessions]
        async with open_batcher(model.identity, runs, capacity.curve, rows=rows, grace=grace) as batcher:
            log.info("detection_model.ready", model=model.identity, provider=session.provider)
            yield Detector(decoders, batcher, session, model, settings, rows, batching.deadline)
