"""What a client of the Open Inference Protocol, version 2, writes and reads; tensors travel as bytes."""

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
    """Read what a model takes and gives.

    Raises:
        EndpointFailedError: it is not what the protocol says.
    """
    try:
        metadata = _Metadata.model_validate_json(content)
    except ValidationError as error:
        raise EndpointFailedError("it describes the model in a way that the protocol does not know") from error
    return [each.spec() for each in metadata.inputs], [each.spec() for each in metadata.outputs]


def write_request(
    inputs: Mapping[str, Tensor], taken: Sequence[TensorSpec], given: Sequence[TensorSpec]
) -> tuple[bytes, int]:
    """Write a request for all outputs; gives the body, and how much of it is JSON.

    Raises:
        ValueError: the inputs are not those that the model takes.
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
    """Read the outputs of a model, in the order of what it gives.

    Args:
        content: the body.
        json_bytes: what the server says of how much of it is JSON; None if nothing else should be there.
        given: outputs that the model has.
        version: of the model, where it was asked for one.

    Raises:
        EndpointFailedError: these are not the model's outputs.
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
