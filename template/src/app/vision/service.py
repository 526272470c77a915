"""Object detection for callers."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from app.auth.caller import Caller, Scope
from app.errors import AppError
from app.predictions.outcome import Outcome, sha256_of
from app.predictions.recorder import PredictionRecorder
from app.vision.detector import Detector, RawBatch
from app.vision.manifest import DetectionManifest
from app.vision.opening import decode_base64
from app.vision.pictures import Picture
from app.vision.raw_detections import RawDetections
from app.vision.suppression import Boxes, read_yolo, suppress

MAX_PICTURES = 32
# A picture file, as bytes or base64.
Content = bytes | str


@dataclass(frozen=True, slots=True)
class DetectionLimits:
    """Limits on the returned detections: at most `most`, each with a confidence of at least `threshold`."""

    threshold: float = 0.25
    most: int = 100


@dataclass(frozen=True, slots=True)
class Detection:
    """One object: label, confidence from 0 to 1, and box (x1, y1, x2, y2) in pixels of the original."""

    label: str
    confidence: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Detections:
    """The detections in one picture, highest confidence first.

    Attributes:
        milliseconds: run time of the picture's batch.
        model: NAME@VERSION of the model.
        queue_seconds: time in the model's queue.
    """

    found: Sequence[Detection]
    milliseconds: float
    model: str
    queue_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class DetectionsOfMany:
    """The detections in several pictures.

    Attributes:
        results: one per picture, in order: detections, or the error of a picture that cannot be read.
        milliseconds: the pictures' shares of their batches' run times, in total.
        queue_seconds: time until the first picture started to run.
    """

    results: Sequence[Detections | AppError]
    milliseconds: float
    queue_seconds: float


@dataclass(frozen=True, slots=True)
class DetectionService:
    """Detects objects in pictures, in coordinates of the original."""

    detector: Detector
    recorder: PredictionRecorder = field(default_factory=PredictionRecorder)

    async def detect(self, content: Content, limits: DetectionLimits, *, caller: Caller) -> Detections:
        """Detect objects in one picture, and record the prediction if recording is enabled.

        Raises:
            ForbiddenError: the caller lacks the scope `detections`.
            OverloadedError: the model cannot answer in time.
            PayloadTooLargeError: the file has too many bytes.
            UnsupportedMediaTypeError: the file is not PNG, JPEG or WebP.
            UnprocessableError: the picture has too many pixels, or cannot be decoded.
        """
        result = await self.detect_unrecorded(content, limits, caller=caller)
        await self._keep([content], [result], caller)
        return result

    async def detect_unrecorded(self, content: Content, limits: DetectionLimits, *, caller: Caller) -> Detections:
        """Detect objects without recording the prediction, as for a frame of a stream; otherwise like `detect`."""
        [result] = (await self._detect([content], limits, caller)).results
        if isinstance(result, AppError):
            raise result
        return result

    async def detect_many(
        self, contents: Sequence[Content], limits: DetectionLimits, *, caller: Caller
    ) -> DetectionsOfMany:
        """Detect objects in several pictures, and record the predictions if recording is enabled.

        Raises:
            ForbiddenError: the caller lacks the scope `detections`.
            OverloadedError: the model cannot answer in time.
        """
        done = await self._detect(contents, limits, caller)
        await self._keep(contents, done.results, caller)
        return done

    async def _detect(self, contents: Sequence[Content], limits: DetectionLimits, caller: Caller) -> DetectionsOfMany:
        caller.require(Scope.DETECTIONS)
        seconds = self.detector.deadline
        until = time.monotonic() + seconds
        self.detector.admit(len(contents), owner=caller.id, within=seconds)
        read = await self.detector.read(contents, owner=caller.id, within=seconds)
        pictures = [each for each in read if isinstance(each, Picture)]
        pixels = [picture.pixels for picture in pictures]
        batch = await self.detector.detect(pixels, owner=caller.id, within=until - time.monotonic())
        found = iter(await asyncio.to_thread(self._to_detections, pictures, batch, limits))
        results = [next(found) if isinstance(each, Picture) else each for each in read]
        milliseconds = sum(raw.milliseconds / raw.batch for raw in batch.raws)
        return DetectionsOfMany(results, milliseconds, batch.queue_seconds)

    async def _keep(
        self, contents: Sequence[Content], results: Sequence[Detections | AppError], caller: Caller
    ) -> None:
        await self.recorder.record(partial(_outcomes, contents, results, self.detector.model.manifest), caller=caller)

    def _to_detections(self, pictures: Sequence[Picture], batch: RawBatch, limits: DetectionLimits) -> list[Detections]:
        model = self.detector.model.identity
        return [
            Detections(self._find(picture, raw, limits), raw.milliseconds, model, batch.queue_seconds)
            for picture, raw in zip(pictures, batch.raws, strict=True)
        ]

    def _find(self, picture: Picture, raw: RawDetections, limits: DetectionLimits) -> list[Detection]:
        return self._named(suppress(read_yolo(raw.output, limits.threshold), limits.most), picture)

    def _named(self, boxes: Boxes, picture: Picture) -> list[Detection]:
        labels = self.detector.model.manifest.labels
        corners = picture.letterbox.to_picture(boxes.corners).astype(float).round(2).tolist()
        rows = zip(boxes.labels.tolist(), boxes.scores.astype(float).round(4).tolist(), corners, strict=True)
        return [Detection(labels[label], score, (x1, y1, x2, y2)) for label, score, (x1, y1, x2, y2) in rows]


def _outcomes(
    contents: Sequence[Content], results: Sequence[Detections | AppError], manifest: DetectionManifest
) -> Iterator[Outcome]:
    for content, result in zip(contents, results, strict=True):
        if isinstance(result, Detections):
            checksum = sha256_of(decode_base64(content) if isinstance(content, str) else content)
            found = [{"label": each.label, "confidence": each.confidence, "bbox": each.box} for each in result.found]
            yield Outcome("detections", manifest.name, manifest.version, checksum, {"detections": found})
