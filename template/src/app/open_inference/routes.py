"""Routes of the Open Inference Protocol, version 2, with the binary tensor data extension."""

from typing import Any

from fastapi import APIRouter, Request, Response

from app.connection import while_connected
from app.dependencies import CallerDep, ServicesDep
from app.errors import UnprocessableError, UnsupportedMediaTypeError
from app.inference.model_headers import model_headers
from app.inference.ports import TensorSpec
from app.inference.tensor_model import ServedModel
from app.open_inference.messages import Message
from app.open_inference.schemas import (
    InferenceResponse,
    ServerLive,
    ServerRead,
    ServerReady,
    TensorModelRead,
    TensorModelReady,
    TensorRead,
    request_schema,
)
from app.open_inference_errors import OPEN_INFERENCE_FAILURE, PREFIX

router = APIRouter(prefix=PREFIX, tags=["open inference"], responses=OPEN_INFERENCE_FAILURE)

JSON_LENGTH = "Inference-Header-Content-Length"
JSON, BINARY = "application/json", "application/octet-stream"
PLATFORM = "onnx_onnxv1"

REQUEST: dict[str, Any] = {
    "parameters": [
        {
            "name": JSON_LENGTH,
            "in": "header",
            "schema": {"type": "integer", "minimum": 0},
            "description": "length of the JSON, if binary data follows it",
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            JSON: {"schema": request_schema()},
            BINARY: {"schema": {"type": "string", "format": "binary"}},
        },
    },
}
INFER: dict[str, Any] = {"response_model": InferenceResponse, "openapi_extra": REQUEST}


@router.get("")
async def server_metadata(_: CallerDep, request: Request) -> ServerRead:
    """Return the server's name, version and supported extensions."""
    return ServerRead(
        name=request.app.title, version=request.app.version, extensions=["binary_tensor_data", "model_repository"]
    )


@router.get("/health/live")
async def server_live() -> ServerLive:
    """Return 200 if the process is alive."""
    return ServerLive()


@router.get("/health/ready")
async def server_ready(services: ServicesDep) -> ServerReady:
    """Return 200 if every model accepts requests, otherwise 503."""
    services.open_inference.models.ping()
    return ServerReady()


@router.get("/models/{name}")
async def model_metadata(name: str, caller: CallerDep, services: ServicesDep) -> TensorModelRead:
    """Return the inputs and outputs of a model's newest version."""
    return _read(services.open_inference.describe(name, None, caller=caller), services)


@router.get("/models/{name}/versions/{version}")
async def model_version_metadata(name: str, version: str, caller: CallerDep, services: ServicesDep) -> TensorModelRead:
    """Return the inputs and outputs of a version of a model."""
    return _read(services.open_inference.describe(name, version, caller=caller), services)


@router.get("/models/{name}/ready")
async def model_ready(name: str, caller: CallerDep, services: ServicesDep) -> TensorModelReady:
    """Return 200 if the newest version of a model accepts requests, otherwise 503."""
    services.open_inference.describe(name, None, caller=caller).batcher.ping()
    return TensorModelReady(name=name, ready=True)


@router.get("/models/{name}/versions/{version}/ready")
async def model_version_ready(name: str, version: str, caller: CallerDep, services: ServicesDep) -> TensorModelReady:
    """Return 200 if a version of a model accepts requests, otherwise 503."""
    services.open_inference.describe(name, version, caller=caller).batcher.ping()
    return TensorModelReady(name=name, ready=True)


@router.post("/models/{name}/infer", **INFER)
async def infer(name: str, caller: CallerDep, services: ServicesDep, request: Request) -> Response:
    """Run tensors through the newest version of a model; response headers give the version and the times."""
    return await _infer(name, None, caller, services, request)


@router.post("/models/{name}/versions/{version}/infer", **INFER)
async def infer_with_version(
    name: str, version: str, caller: CallerDep, services: ServicesDep, request: Request
) -> Response:
    """Run tensors through a version of a model; response headers give the model and the times."""
    return await _infer(name, version, caller, services, request)


async def _infer(
    name: str, version: str | None, caller: CallerDep, services: ServicesDep, request: Request
) -> Response:
    # Check scope and model before reading a large body.
    services.open_inference.describe(name, version, caller=caller)
    message = Message(await _body(request), _json_length(request))
    work = services.open_inference.infer(name, version, message, caller=caller)
    done = await while_connected(request, work)
    times = {"queue_seconds": done.inferred.queue_seconds, "run_seconds": done.inferred.run_seconds}
    headers = model_headers(done.model.identity, done.model.provider, **times)
    if done.message.json_bytes is None:
        return Response(done.message.content, media_type=JSON, headers=headers)
    headers[JSON_LENGTH] = str(done.message.json_bytes)
    return Response(done.message.content, media_type=BINARY, headers=headers)


async def _body(request: Request) -> bytes:
    kind = request.headers.get("Content-Type", JSON).partition(";")[0].strip().lower()
    if kind not in {JSON, BINARY}:
        raise UnsupportedMediaTypeError(f"Send tensors as {JSON} or, with binary data, as {BINARY}.")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise UnsupportedMediaTypeError("Send the body uncompressed.")
    return await request.body()


def _json_length(request: Request) -> int | None:
    value = request.headers.get(JSON_LENGTH)
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or len(value) > 12:  # noqa: PLR2004 - more digits than bodies have
        raise UnprocessableError(f"{JSON_LENGTH} must be a number of bytes.")
    return int(value)


def _read(model: ServedModel, services: ServicesDep) -> TensorModelRead:
    return TensorModelRead(
        name=model.name,
        versions=services.open_inference.models.versions(model.name),
        platform=PLATFORM,
        inputs=[_read_tensor(each) for each in model.signature.inputs],
        outputs=[_read_tensor(each) for each in model.signature.outputs],
    )


def _read_tensor(spec: TensorSpec) -> TensorRead:
    shape = [each if isinstance(each, int) else -1 for each in spec.shape]
    return TensorRead(name=spec.name, datatype=spec.datatype, shape=shape)
