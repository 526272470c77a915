"""Finding objects in callers' pictures."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from app.auth.caller import Caller, Scope
from app.errors import AppError
from app.vision.detector import Detector, RawDetections
from app.vision.pictures import Picture
from app.vision.suppression import Boxes, read_yolo, suppress

MAX_PICTURES = 32
# A picture as its file, or as its file in base64.
Content = bytes | str


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which of the objects that are found are told: at most `most`, each at least as sure as `threshold`."""

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
    """What one picture holds, the surest first.

    Attributes:
        milliseconds: how long the model took for the batch that the picture was in.
        model: name and version of the model.
    """

    found: Sequence[Detection]
    milliseconds: float
    model: str


@dataclass(frozen=True, slots=True)
class DetectionsOfMany:
    """What several pictures hold; an error is in the place of one that cannot be read.

    Attributes:
        milliseconds: how long the model took for all of them.
    """

    results: Sequence[Detections | AppError]
    milliseconds: float


@dataclass(frozen=True, slots=True)
class DetectionService:
    """Reads pictures, runs the detector, and tells where things are in the original."""

    detector: Detector

    async def detect(self, content: Content, wanted: Wanted, *, caller: Caller) -> Detections:
        """Find objects in one picture.

        Raises:
            ForbiddenError: the caller may not.
            PayloadTooLargeError: the file has too many bytes.
            UnsupportedMediaTypeError: it is not PNG, JPEG or WebP.
            UnprocessableError: it has too many pixels, or cannot be decoded.
        """
        caller.require(Scope.DETECTIONS)
        picture = await self.detector.read(content)
        [raw] = await self.detector.detect([picture.pixels])
        return await asyncio.to_thread(self._tell, picture, raw, wanted)

    async def detect_many(self, contents: Sequence[Content], wanted: Wanted, *, caller: Caller) -> DetectionsOfMany:
        """Find objects in several pictures.

        Raises:
            ForbiddenError: the caller may not.
        """
        caller.require(Scope.DETECTIONS)
        read = await asyncio.gather(*(self._read(content) for content in contents))
        pictures = [each for each in read if isinstance(each, Picture)]
        raws = await self.detector.detect([picture.pixels for picture in pictures])
        told = iter(await asyncio.to_thread(self._tell_all, pictures, raws, wanted))
        results = [next(told) if isinstance(each, Picture) else each for each in read]
        return DetectionsOfMany(results, sum(raw.milliseconds / raw.batch for raw in raws))

    async def _read(self, content: Content) -> Picture | AppError:
        try:
            return await self.detector.read(content)
        except AppError as error:
            return error

    def _tell_all(self, pictures: Sequence[Picture], raws: Sequence[RawDetections], wanted: Wanted) -> list[Detections]:
        return [self._tell(picture, raw, wanted) for picture, raw in zip(pictures, raws, strict=True)]

    def _tell(self, picture: Picture, raw: RawDetections, wanted: Wanted) -> Detections:
        boxes = suppress(read_yolo(raw.output, wanted.threshold), wanted.most)
        return Detections(self._named(boxes, picture), raw.milliseconds, self.detector.model.identity)

    def _named(self, boxes: Boxes, picture: Picture) -> list[Detection]:
        labels = self.detector.model.manifest.labels
        corners = picture.letterbox.to_picture(boxes.corners).astype(float).round(2).tolist()
        rows = zip(boxes.labels.tolist(), boxes.scores.astype(float).round(4).tolist(), corners, strict=True)
        return [Detection(labels[label], score, (x1, y1, x2, y2)) for label, score, (x1, y1, x2, y2) in rows]
