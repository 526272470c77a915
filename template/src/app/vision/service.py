"""Finding objects in callers' pictures."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from app.auth.caller import Caller, Scope
from app.errors import AppError
from app.predictions.outcome import Outcome, sha256_of
from app.predictions.recorder import PredictionRecorder
from app.vision.detector import Detector, Looked
from app.vision.manifest import Manifest
from app.vision.opening import decode_base64
from app.vision.pictures import Picture
from app.vision.raw_detections import RawDetections
from app.vision.suppression import Boxes, read_yolo, suppress

MAX_PICTURES = 32
# A picture as its file, or as its file in base64.
Content = bytes | str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which detections are returned: at most `most`, each with a confidence of at least `threshold`."""

    threshold: float = 0.25
    most: int = 100


@dataclass(frozen=True, slots=True)
class Detection:
    """One object: what it is, how sure that is from 0 to 1, and x1, y1, x2, y2 in pixels of the original."""

    label: str
    confidence: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Detections:
    """The detections in one picture, highest confidence first.

    Attributes:
        milliseconds: how long the model took for the batch that the picture was in.
        queue_seconds: how long the request waited for the model.
        model: name and version of the model.
    """

    found: Sequence[Detection]
    milliseconds: float
    model: str
    queue_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class DetectionsOfMany:
    """The detections in several pictures; an error takes the place of a picture that cannot be read.

    Attributes:
        milliseconds: how long the model took for all of them.
        queue_seconds: how long the first of them waited for the model.
    """

    results: Sequence[Detections | AppError]
    milliseconds: float
    queue_seconds: float


@dataclass(frozen=True, slots=True)
class DetectionService:
    """Finds objects in pictures, in coordinates of the original."""

    detector: Detector
    recorder: PredictionRecorder = field(default_factory=PredictionRecorder)

    async def detect(self, content: Content, wanted: Wanted, *, caller: Caller) -> Detections:
        """Find objects in one picture.

        Raises:
            ForbiddenError: the caller may not.
            OverloadedError: the model has too much to do to answer in time.
            PayloadTooLargeError: the file has too many bytes.
            UnsupportedMediaTypeError: it is not PNG, JPEG or WebP.
            UnprocessableError: it has too many pixels, or cannot be decoded.
        """
        result = await self.look(content, wanted, caller=caller)
        await self._keep([content], [result], caller)
        return result

    async def look(self, content: Content, wanted: Wanted, *, caller: Caller) -> Detections:
        """Find objects in a picture that nobody will ask about later, such as a frame; otherwise as `detect`."""
        [result] = (await self._look_at([content], wanted, caller)).results
        if isinstance(result, AppError):
            raise result
        return result

    async def detect_many(self, contents: Sequence[Content], wanted: Wanted, *, caller: Caller) -> DetectionsOfMany:
        """Find objects in several pictures.

        Raises:
            ForbiddenError: the caller may not.
            OverloadedError: the model has too much to do to answer in time.
        """
        done = await self._look_at(contents, wanted, caller)
        await self._keep(contents, done.results, caller)
        return done

    async def _look_at(self, contents: Sequence[Content], wanted: Wanted, caller: Caller) -> DetectionsOfMany:
        caller.require(Scope.DETECTIONS)
        seconds = self.detector.deadline
        until = time.monotonic() + seconds
        self.detector.admit(len(contents), owner=caller.id, within=seconds)
        read = await self.detector.read(contents, owner=caller.id, within=seconds)
        pictures = [each for each in read if isinstance(each, Picture)]
        pixels = [picture.pixels for picture in pictures]
        looked = await self.detector.detect(pixels, owner=caller.id, within=until - time.monotonic())
        told = iter(await asyncio.to_thread(self._tell_all, pictures, looked, wanted))
        results = [next(told) if isinstance(each, Picture) else each for each in read]
        milliseconds = sum(raw.milliseconds / raw.batch for raw in looked.raws)
        return DetectionsOfMany(results, milliseconds, looked.queue_seconds)

    async def _keep(
        self, contents: Sequence[Content], results: Sequence[Detections | AppError], caller: Caller
    ) -> None:
        await self.recorder.record(partial(_outcomes, contents, results, self.detector.model.manifest), caller=caller)

    def _tell_all(self, pictures: Sequence[Picture], looked: Looked, wanted: Wanted) -> list[Detections]:
        model = self.detector.model.identity
        return [
            Detections(self._find(picture, raw, wanted), raw.milliseconds, model, looked.queue_seconds)
            for picture, raw in zip(pictures, looked.raws, strict=True)
        ]

    def _find(self, picture: Picture, raw: RawDetections, wanted: Wanted) -> list[Detection]:
        return self._named(suppress(read_yolo(raw.output, wanted.threshold), wanted.most), picture)

    def _named(self, boxes: Boxes, picture: Picture) -> list[Detection]:
        labels = self.detector.model.manifest.labels
        corners = picture.letterbox.to_picture(boxes.corners).astype(float).round(2).tolist()
        rows = zip(boxes.labels.tolist(), boxes.scores.astype(float).round(4).tolist(), corners, strict=True)
        return [Detection(labels[label], score, (x1, y1, x2, y2)) for label, score, (x1, y1, x2, y2) in rows]


def _outcomes(
    contents: Sequence[Content], results: Sequence[Detections | AppError], manifest: Manifest
) -> Iterator[Outcome]:
    for content, result in zip(contents, results, strict=True):
        if isinstance(result, Detections):
            checksum = sha256_of(decode_base64(content) if isinstance(content, str) else content)
            found = [{"label": each.label, "confidence": each.confidence, "bbox": each.box} for each in result.found]
            yield Outcome("detections", manifest.name, manifest.version, checksum, {"detections": found})
