"""Request and response schemas of object detection."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.errors import AppError
from app.payloads import Payload
from app.vision.service import MAX_PICTURES, DetectionLimits, Detections

Base64 = Annotated[
    str,
    Field(
        min_length=1,
        description="a PNG, JPEG or WebP file in base64, or a data: URL of one",
        json_schema_extra={"format": "byte"},
    ),
]
Threshold = Annotated[float, Field(ge=0, le=1, description="lowest confidence to return")]
MaxDetections = Annotated[int, Field(ge=1, le=300, description="most detections to return, highest confidence first")]


class DetectionOptions(Payload):
    """Options that limit the returned detections."""

    threshold: Threshold = 0.25
    max_detections: MaxDetections = 100

    def limits(self) -> DetectionLimits:
        """Return the options as the service expects them."""
        return DetectionLimits(self.threshold, self.max_detections)


class DetectionCreate(DetectionOptions):
    """One picture."""

    image: Base64


class DetectionBatchCreate(DetectionOptions):
    """Several pictures."""

    images: list[Base64] = Field(min_length=1, max_length=MAX_PICTURES, fail_fast=True)


class DetectionItem(BaseModel):
    """One object."""

    model_config = ConfigDict(frozen=True)

    label: str = Field(examples=["circle"])
    confidence: float = Field(ge=0, le=1, examples=[0.93])
    bbox: tuple[float, float, float, float] = Field(
        description="x1, y1, x2, y2 in pixels of the original picture after EXIF rotation",
        examples=[(12.5, 30.0, 96.0, 114.5)],
    )


class DetectionList(BaseModel):
    """The detections in one picture, highest confidence first."""

    model_config = ConfigDict(frozen=True)

    detections: list[DetectionItem]
    inference_time_ms: float = Field(description="run time of the picture's batch", examples=[6.1])
    model_version: str = Field(examples=["shapes@1"])


class PictureProblem(BaseModel):
    """Why a picture could not be read."""

    model_config = ConfigDict(frozen=True)

    status: int = Field(description="status of the response if only this picture had been sent", examples=[422])
    code: str = Field(examples=["unprocessable"])
    detail: str = Field(examples=["The picture cannot be decoded: it is cut off or broken."])


class DetectionFailure(BaseModel):
    """The error of a picture that could not be read, in place of its result."""

    model_config = ConfigDict(frozen=True)

    error: PictureProblem


class DetectionBatch(BaseModel):
    """Results in the order of the pictures."""

    model_config = ConfigDict(frozen=True)

    results: list[DetectionList | DetectionFailure]
    total_inference_time_ms: float = Field(description="the pictures' share of the batches' run times", examples=[21.4])


def detection_list(result: Detections) -> DetectionList:
    """Return the response for one picture."""
    items = [DetectionItem(label=each.label, confidence=each.confidence, bbox=each.box) for each in result.found]
    return DetectionList(detections=items, inference_time_ms=round(result.milliseconds, 3), model_version=result.model)


def picture_problem(error: AppError) -> PictureProblem:
    """Return an error as part of a response."""
    return PictureProblem(status=error.status, code=error.code, detail=error.detail)
