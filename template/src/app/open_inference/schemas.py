"""Request and response schemas of the Open Inference Protocol."""

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
    """Base of requests, which ignores the fields of unknown extensions."""

    model_config = ConfigDict(extra="ignore")


class RequestInput(_Extensible):
    """An input tensor. Unknown fields and parameters are ignored; some unsupported parameters are rejected."""

    name: Name
    shape: list[Dimension] = Field(max_length=MAX_RANK, fail_fast=True, examples=[[1, 2]])
    datatype: Name = Field(examples=["INT64"])
    parameters: Parameters = Field(default={}, description="`binary_data_size` if the data follows the JSON")
    data: list[Any] | None = Field(default=None, description="flat in row-major order, or nested", examples=[[1, 2]])


class RequestOutput(_Extensible):
    """A requested output."""

    name: Name
    parameters: Parameters = Field(default={}, description="`binary_data`: whether to return it as binary data")


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
    parameters: Parameters = Field(default={}, description="`binary_data_output`: default of `binary_data`")
    inputs: list[RequestInput] = Field(min_length=1, max_length=MAX_TENSORS, fail_fast=True)
    outputs: list[RequestOutput] = Field(
        default=[], max_length=MAX_TENSORS, fail_fast=True, description="outputs to return; all if empty"
    )


class ResponseOutput(BaseModel):
    """An output tensor; with the parameter `binary_data_size`, its data follows the JSON."""

    name: str
    shape: list[int]
    datatype: str
    parameters: Parameters | None = None
    data: list[Any] | None = None


class InferenceResponse(BaseModel):
    """The outputs of a model."""

    model_name: str
    model_version: str
    id: str | None = None
    outputs: list[ResponseOutput]


class TensorRead(BaseModel):
    """An input or output of a model; -1 means a variable dimension."""

    name: str
    datatype: str = Field(examples=["FP32"])
    shape: list[int] = Field(examples=[[-1, 160]])


class TensorModelRead(BaseModel):
    """A model's versions, inputs and outputs."""

    name: str
    versions: list[str]
    platform: str = Field(examples=["onnx_onnxv1"])
    inputs: list[TensorRead]
    outputs: list[TensorRead]


class TensorModelReady(BaseModel):
    """Whether a model accepts requests."""

    name: str
    ready: bool


class RepositoryIndexRequest(_Extensible):
    """Options for listing models."""

    ready: bool = Field(default=False, description="whether to list only served models")


class RepositoryModelRequest(_Extensible):
    """Options for loading or unloading a model."""

    parameters: Parameters = Field(default={})


class RepositoryModelRead(BaseModel):
    """A version of a model, and whether it is served."""

    name: str
    version: str
    state: Literal["READY", "UNAVAILABLE"]
    reason: str = Field(examples=["not loaded"])


class ServerRead(BaseModel):
    """The server's name, version and supported extensions."""

    name: str
    version: str
    extensions: list[str] = Field(examples=[["binary_tensor_data", "model_repository"]])


class ServerLive(BaseModel):
    """Whether the process is alive."""

    live: bool = True


class ServerReady(BaseModel):
    """Whether every model accepts requests."""

    ready: bool = True


def request_schema() -> dict[str, Any]:
    """Return the JSON schema of `InferenceRequest` for OpenAPI, with its parts inlined."""
    schema = InferenceRequest.model_json_schema()
    parts: dict[str, Any] = schema.pop("$defs")
    schema["properties"]["inputs"]["items"] = parts["RequestInput"]
    schema["properties"]["outputs"]["items"] = parts["RequestOutput"]
    return schema
