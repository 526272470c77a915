"""Object detector: decodes pictures and runs an ONNX model on them."""

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
from app.inference.feature_model import FeatureModel
from app.inference.ports import ModelSession
from app.vision.decoding import decoding_units, open_decoders
from app.vision.letterbox import Size
from app.vision.manifest import DetectionManifest, DetectionModel
from app.vision.opening import PictureLimits
from app.vision.pictures import Picture
from app.vision.raw_detections import Pixels, RawDetections, detector_workload, run_detector

log = structlog.get_logger(__name__)


class DetectionSettings(BaseModel):
    """Settings for object detection."""

    model_config = ConfigDict(extra="forbid")

    folder: Path = Field(default=Path("models/detection"), description="holds model.onnx and model.json")
    batch_size: int = Field(default=8, ge=1, le=256, description="most pictures of a batch")
    decode_threads: int = Field(default=2, ge=1, le=64, description="pictures that are decoded concurrently")
    max_bytes: int = Field(default=10_000_000, ge=1, description="maximum size of a picture file")
    max_megapixels: int = Field(default=25, ge=1, le=500, description="maximum size of a decoded picture")
    stream_frames_per_second: int = Field(default=60, ge=1, description="frame rate limit of a connection")

    def rows_of(self, manifest: DetectionManifest) -> int:
        """Return the most pictures of a batch."""
        return min(self.batch_size, manifest.max_batch)


@dataclass(frozen=True, slots=True)
class RawBatch:
    """The raw detections of several pictures.

    Attributes:
        raws: one per picture, in order.
        queue_seconds: time until the first picture started to run.
    """

    raws: list[RawDetections]
    queue_seconds: float


@dataclass(frozen=True, slots=True)
class Detector:
    """Decodes pictures and runs them through the model in shared batches, off the event loop.

    Attributes:
        decoders: turns files into pictures or errors.
        batcher: turns pixels into raw detections.
        session: a session of the model.
        batch_size: the most pictures of a batch.
        deadline: the deadline for requests in seconds, which callers pass as `within`.
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

    def feature_model(self) -> FeatureModel:
        """Return the model as one that callers can send tensors to."""
        manifest = self.model.manifest
        shape = {manifest.input: (1, 3, manifest.height, manifest.width)}
        return FeatureModel(manifest.name, manifest.version, self.session, self.batch_size, warm_up=shape)

    def admit(self, pictures: int, *, owner: Hashable, within: float) -> None:
        """Check that the model could process this many pictures in time; call before decoding them.

        Raises:
            OverloadedError: the deadline cannot be met.
            UnavailableError: the service is shutting down.
        """
        self.batcher.admit(pictures, owner=owner, within=within)

    async def read(
        self, contents: Sequence[bytes | str], *, owner: Hashable = None, within: float | None = None
    ) -> list[Picture | AppError]:
        """Decode pictures; one that cannot be decoded gives the error of `read_picture` instead.

        Args:
            contents: any number of files, as bytes or base64.
            owner: key for fair scheduling: owners take turns.
            within: deadline in seconds; None waits indefinitely.

        Raises:
            OverloadedError: the deadline cannot be met.
            UnavailableError: the service is shutting down.
        """
        sizes = [decoding_units(content) for content in contents]
        return (await self.decoders.submit(contents, sizes, owner=owner, within=within)).results

    async def detect(
        self, pictures: Sequence[Pixels], *, owner: Hashable = None, within: float | None = None
    ) -> RawBatch:
        """Run pictures of the model's size, uint8 `[height, width, 3]`, through the model; otherwise like `read`."""
        done = await self.batcher.submit(pictures, [1] * len(pictures), owner=owner, within=within)
        return RawBatch(done.results, done.queue_seconds)

    async def ping(self) -> None:
        """Raise UnavailableError if the service is shutting down or the model is stuck."""
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
    """Open a detector whose model is measured and warmed up.

    Args:
        settings: settings for object detection.
        batching: settings for batching.
        open_session: opens a session of the model.
        model: the model, with verified files.
        cores: cores for all lanes together; 0 means every core that this process may use.

    Raises:
        StartupError: the model cannot be opened, or does not fit the manifest.
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
        # The measurement may have stopped before the largest batch: check that it runs.
        await asyncio.to_thread(work.probe, session, rows)
        runs = [partial(run_detector, each, manifest.input) for each in capacity.sessions]
        async with open_batcher(model.identity, runs, capacity.curve, rows=rows, grace=grace) as batcher:
            log.info("detection_model.ready", model=model.identity, provider=session.provider)
            yield Detector(decoders, batcher, session, model, settings, rows, batching.deadline)
