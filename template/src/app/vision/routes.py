"""Routes for object detection in pictures."""

from fastapi import APIRouter, Request, Response

from app.connection import while_connected
from app.dependencies import CallerDep, ServicesDep
from app.errors import AppError
from app.inference.model_headers import model_headers
from app.vision.detector import Detector
from app.vision.schemas import (
    DetectionBatch,
    DetectionBatchCreate,
    DetectionCreate,
    DetectionFailure,
    DetectionList,
    detection_list,
    picture_problem,
)
from app.vision.service import MAX_PICTURES, Detections, DetectionsOfMany
from app.vision.uploads import body_schema, read_many, read_one

router = APIRouter(prefix="/v1/detections", tags=["detections"])

FILE = {"type": "string", "format": "binary", "description": "a PNG, JPEG or WebP file"}
FILES = {"type": "array", "items": FILE, "minItems": 1, "maxItems": MAX_PICTURES}


@router.post("", openapi_extra=body_schema(DetectionCreate, {"image": FILE}))
async def detect_objects(
    request: Request, caller: CallerDep, services: ServicesDep, response: Response
) -> DetectionList:
    """Detect objects in a picture, sent as base64 in JSON or as a file in a form."""
    content, options = await read_one(request)
    work = services.detections.detect(content, options.limits(), caller=caller)
    found = await while_connected(request, work)
    response.headers.update(_headers(services.detections.detector, found))
    return detection_list(found)


@router.post("/batch", openapi_extra=body_schema(DetectionBatchCreate, {"images": FILES}))
async def detect_objects_in_batch(
    request: Request, caller: CallerDep, services: ServicesDep, response: Response
) -> DetectionBatch:
    """Detect objects in up to 32 pictures; one that cannot be decoded gets an error in place of its result."""
    contents, options = await read_many(request)
    work = services.detections.detect_many(contents, options.limits(), caller=caller)
    batch = await while_connected(request, work)
    response.headers.update(_headers(services.detections.detector, batch))
    results = [
        DetectionFailure(error=picture_problem(each)) if isinstance(each, AppError) else detection_list(each)
        for each in batch.results
    ]
    return DetectionBatch(results=results, total_inference_time_ms=round(batch.milliseconds, 3))


def _headers(detector: Detector, done: Detections | DetectionsOfMany) -> dict[str, str]:
    times = {"queue_seconds": done.queue_seconds, "run_seconds": done.milliseconds / 1000}
    return model_headers(detector.model.identity, detector.provider, **times)
