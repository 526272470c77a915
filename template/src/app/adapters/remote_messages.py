"""Client messages of the Open Inference Protocol, version 2, with binary tensors."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import to_json

from app.adapters.remote_endpoints import EndpointFailedError
from app.errors import UnprocessableError
from app.inference.ports import Tensor, TensorSpec
from app.inference.tensor_types import DTYPES
from app.open_inference.tensor_data import read_binary, write_binary

VARIES = -1


class _Described(BaseModel):
    name: str
    datatype: str
    shape: list[Annotated[int, Field(strict=True, ge=VARIES)]]

    def spec(self) -> TensorSpec:
        return TensorSpec(self.name, self.datatype, tuple(None if each == VARIES else each for each in self.shape))


class _Metadata(BaseModel):
    inputs: list[_Described]
    outputs: list[_Described]


class _Parameters(BaseModel):
    binary_data_size: Annotated[int, Field(strict=True, ge=0)]


class _Output(BaseModel):
    name: str
    datatype: str
    shape: list[Annotated[int, Field(strict=True, ge=0)]]
    parameters: _Parameters


class _Answer(BaseModel):
    model_version: str | None = None
    outputs: list[_Output]


def read_metadata(content: bytes) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Parse a model's metadata; return its inputs and outputs.

    Raises:
        EndpointFailedError: the metadata violates the protocol.
    """
    try:
        metadata = _Metadata.model_validate_json(content)
    except ValidationError as error:
        raise EndpointFailedError("it describes the model in a way that the protocol does not know") from error
    return [each.spec() for each in metadata.inputs], [each.spec() for each in metadata.outputs]


def write_request(
    inputs: Mapping[str, Tensor], taken: Sequence[TensorSpec], given: Sequence[TensorSpec]
) -> tuple[bytes, int]:
    """Serialize a request for all outputs; return the body and the length of its JSON part.

    Args:
        inputs: tensors by input name.
        taken: the model's inputs.
        given: the model's outputs.

    Raises:
        ValueError: the inputs do not fit the model.
    """
    if inputs.keys() != {spec.name for spec in taken}:
        raise ValueError(f"The remote model takes {', '.join(spec.name for spec in taken)}, not {', '.join(inputs)}.")
    tail: list[bytes | memoryview] = []
    heads: list[dict[str, Any]] = []
    for spec in taken:
        tensor = inputs[spec.name]
        if tensor.dtype != DTYPES.get(spec.datatype):
            raise ValueError(f"The remote model takes {spec.name!r} as {spec.datatype}, not as {tensor.dtype}.")
        tail.append(write_binary(tensor, spec.datatype))
        parameters = {"binary_data_size": len(tail[-1])}
        heads.append(
            {"name": spec.name, "datatype": spec.datatype, "shape": list(tensor.shape), "parameters": parameters}
        )
    outputs = [{"name": spec.name, "parameters": {"binary_data": True}} for spec in given]
    json = to_json({"inputs": heads, "outputs": outputs})
    return b"".join([json, *tail]), len(json)


def read_answer(
    content: bytes, json_bytes: str | None, given: Sequence[TensorSpec], version: str | None
) -> list[Tensor]:
    """Parse a response; return the outputs in the order of `given`.

    Args:
        content: the body.
        json_bytes: header with the length of the JSON part; None if the body is only JSON.
        given: the model's outputs.
        version: the requested version, if any.

    Raises:
        EndpointFailedError: the response violates the protocol, or does not fit the model or the version.
    """
    length = int(json_bytes) if json_bytes and json_bytes.isascii() and json_bytes.isdigit() else len(content)
    try:
        answer = _Answer.model_validate_json(content[:length])
    except ValidationError as error:
        raise EndpointFailedError("its answer has no binary tensors as the protocol says") from error
    if version is not None and answer.model_version not in {None, version}:
        raise EndpointFailedError(f"it answered with version {answer.model_version!r} in place of {version!r}")
    rest = memoryview(content)[length:]
    tensors: dict[str, Tensor] = {}
    for output in answer.outputs:
        size = output.parameters.binary_data_size
        tensors[output.name] = _read_output(output, given, rest[:size])
        rest = rest[size:]
    if rest or tensors.keys() != {spec.name for spec in given}:
        raise EndpointFailedError("its answer has other outputs than the model, or bytes that belong to none")
    return [tensors[spec.name] for spec in given]


def _read_output(output: _Output, given: Sequence[TensorSpec], content: memoryview) -> Tensor:
    spec = next((each for each in given if each.name == output.name), None)
    if spec is None or spec.datatype != output.datatype or not _fits(output.shape, spec.shape):
        raise EndpointFailedError(f"its output {output.name!r} is {output.datatype} {output.shape}, not as described")
    try:
        return read_binary(spec, output.shape, content)
    except UnprocessableError as error:
        raise EndpointFailedError(f"the bytes of its output {output.name!r} are not as many as it says") from error


def _fits(shape: Sequence[int], described: Sequence[int | str | None]) -> bool:
    return len(shape) == len(described) and all(
        not isinstance(wanted, int) or length == wanted for length, wanted in zip(shape, described, strict=True)
    )
