"""What the Open Inference Protocol sends and answers."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.payloads import Payload

MAX_TENSORS = 64
MAX_RANK = 32
MAX_DIMENSION = 2**31 - 1

Name = Annotated[str, Field(min_length=1, max_length=256)]
Dimension = Annotated[int, Field(strict=True, ge=1, le=MAX_DIMENSION)]
Parameters = dict[str, Any]


class _Extensible(Payload):
    """Ignores what belongs to extensions that are not known."""

    model_config = ConfigDict(extra="ignore")


class RequestInput(_Extensible):
    """A tensor for the model; what belongs to extensions that are not offered is ignored, or refused by name."""

    name: Name
    shape: list[Dimension] = Field(max_length=MAX_RANK, fail_fast=True, examples=[[1, 2]])
    datatype: Name = Field(examples=["INT64"])
    parameters: Parameters = Field(default={}, description="`binary_data_size`, where it follows the JSON")
    data: list[Any] | None = Field(default=None, description="flat in row-major order, or nested", examples=[[1, 2]])


class RequestOutput(_Extensible):
    """A tensor that is wanted."""

    name: Name
    parameters: Parameters = Field(default={}, description="`binary_data`, to have it after the JSON")


class InferenceRequest(_Extensible):
    """Tensors to run through a model."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "inputs": [
                        {"name": "input_ids", "shape": [1, 2], "datatype": "INT64", "data": [1997, 2146]},
                        {"name": "attention_mask", "shape": [1, 2], "datatype": "INT64", "data": [1, 1]},
                    ]
                }
            ]
        }
    )

    id: str | None = Field(default=None, max_length=256)
    parameters: Parameters = Field(default={}, description="`binary_data_output`, for all outputs")
    inputs: list[RequestInput] = Field(min_length=1, max_length=MAX_TENSORS, fail_fast=True)
    outputs: list[RequestOutput] = Field(
        default=[], max_length=MAX_TENSORS, fail_fast=True, description="all, if none are named"
    )


class ResponseOutput(BaseModel):
    """A tensor that the model gave; its data follows the JSON where `binary_data_size` is among the parameters."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters | None = None
    data: list[Any] | None = None


class InferenceResponse(BaseModel):
    """What a model gave."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[ResponseOutput]


class TensorRead(BaseModel):
    """An input or output of a model; -1 is a dimension that varies."""

    name: str
    datatype: str = Field(examples=["FP32"])
    shape: list[int] = Field(examples=[[-1, 160]])


class TensorModelRead(BaseModel):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str = Field(examples=["onnx_onnxv1"])
    inputs: list[TensorRead]
    outputs: list[TensorRead]


class TensorModelReady(BaseModel):
    """Whether a model takes requests."""

    name: str
    ready: bool


class RepositoryIndexRequest(_Extensible):
    """Which models to list."""

    ready: bool = Field(default=False, description="only those that are served")


class RepositoryModelRequest(_Extensible):
    """How to load or unload a model."""

    parameters: Parameters = Field(default={})


class RepositoryModelRead(BaseModel):
    """A version of a model, and whether it is served."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str = Field(examples=["not loaded"])


class ServerRead(BaseModel):
    """What this server is."""

    name: str
    version: str
    extensions: list[str] = Field(examples=[["binary_tensor_data", "model_repository"]])


class ServerLive(BaseModel):
    """Whether the process runs."""

    live: bool = True


class ServerReady(BaseModel):
    """Whether every model takes requests."""

    ready: bool = True


def request_schema() -> dict[str, Any]:
    """Describe a request for OpenAPI in one piece, as nothing else there refers to its parts."""
    schema = InferenceRequest.model_json_schema()
    parts: dict[str, Any] = schema.pop("$defs")
    schema["properties"]["inputs"]["items"] = parts["RequestInput"]
    schema["properties"]["outputs"]["items"] = parts["RequestOutput"]
    return schema
