"""Parse inference requests and serialize responses: JSON, optionally followed by binary tensor data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from app.errors import UnprocessableError
from app.inference.ports import Tensor, TensorSpec
from app.inference.signature import Signature
from app.inference.tensor_model import Inferred, ServedModel
from app.json_limits import check_marks, count_marks
from app.open_inference.schemas import InferenceRequest, RequestInput
from app.open_inference.tensor_data import read_binary, read_json, write_binary, write_json

# Parameters that would change the meaning of the response, so they are rejected instead of ignored.
NOT_OFFERED = {
    "classification",
    "sequence_end",
    "sequence_id",
    "sequence_start",
    "shared_memory_byte_size",
    "shared_memory_offset",
    "shared_memory_region",
}


@dataclass(frozen=True, slots=True)
class RequestedOutput:
    """A requested output: its index among the model's outputs, and whether to send it as binary data."""

    place: int
    binary: bool


@dataclass(frozen=True, slots=True)
class ParsedRequest:
    """A parsed inference request.

    Attributes:
        id: the client's id of the request, which the response repeats.
        tensors: tensors by input name, with shapes and types checked against the signature.
        outputs: the requested outputs, in order.
    """

    id: str | None
    tensors: Mapping[str, Tensor]
    outputs: Sequence[RequestedOutput]


@dataclass(frozen=True, slots=True)
class Message:
    """A request or response body: JSON, optionally followed by binary data.

    Attributes:
        json_bytes: length of the JSON; None if no binary data follows.
    """

    content: bytes
    json_bytes: int | None = None


def read_request(message: Message, signature: Signature) -> ParsedRequest:
    """Parse an inference request for a model; the time grows with its size.

    Raises:
        PayloadTooLargeError: the JSON has too many values.
        UnprocessableError: the request violates the protocol or does not fit the model.
    """
    length = len(message.content) if message.json_bytes is None else message.json_bytes
    if length > len(message.content):
        raise UnprocessableError(
            f"Inference-Header-Content-Length is {length:,}, but the body has {len(message.content):,} bytes."
        )
    head = message.content[:length]
    check_marks(count_marks(head))
    try:
        body = InferenceRequest.model_validate_json(head)
    except ValidationError as error:
        raise UnprocessableError(_first(error)) from error
    _refuse_extensions(body)
    tensors = _read_inputs(body, signature, memoryview(message.content)[length:])
    return ParsedRequest(body.id, tensors, _requested_outputs(body, signature))


def write_answer(model: ServedModel, parsed: ParsedRequest, inferred: Inferred) -> Message:
    """Serialize the requested outputs of a model; the time grows with their size.

    Raises:
        UnprocessableError: an output requested as JSON contains NaN or infinities.
    """
    head: dict[str, Any] = {"model_name": model.name, "model_version": model.version}
    if parsed.id is not None:
        head["id"] = parsed.id
    tail: list[bytes | memoryview] = []
    outputs: list[dict[str, Any]] = []
    for requested in parsed.outputs:
        spec, tensor = model.signature.outputs[requested.place], inferred.outputs[requested.place]
        output: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": list(tensor.shape)}
        if requested.binary:
            tail.append(write_binary(tensor, spec.datatype))
            output["parameters"] = {"binary_data_size": len(tail[-1])}
        else:
            output["data"] = write_json(tensor, spec.name)
        outputs.append(output)
    json = to_json(head | {"outputs": outputs})
    return Message(b"".join([json, *tail]), len(json) if any(each.binary for each in parsed.outputs) else None)


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}." if where else f"The request is not as the protocol says: {first['msg']}."


def _refuse_extensions(body: InferenceRequest) -> None:
    parts = [body.parameters, *(each.parameters for each in body.inputs), *(each.parameters for each in body.outputs)]
    for name in sorted(NOT_OFFERED & set(chain.from_iterable(parts))):
        raise UnprocessableError(f"The parameter {name!r} belongs to an extension that is not offered here.")


def _read_inputs(body: InferenceRequest, signature: Signature, rest: memoryview) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for each in body.inputs:
        spec = signature.find_input(each.name)
        if each.name in tensors:
            raise UnprocessableError(f"The input {each.name!r} is there twice.")
        if each.datatype != spec.datatype:
            raise UnprocessableError(f"Input {each.name!r} must be {spec.datatype}, not {each.datatype}.")
        signature.check_shape(spec, each.shape)
        size = each.parameters.get("binary_data_size")
        if size is None:
            tensors[each.name] = _from_json(spec, each)
            continue
        if type(size) is not int or not 0 <= size <= len(rest) or each.data is not None:
            raise UnprocessableError(
                f"Input {each.name!r}: binary_data_size must be a number of bytes that follow the JSON, in place of "
                "data; Inference-Header-Content-Length tells where the JSON ends."
            )
        tensors[each.name] = read_binary(spec, each.shape, rest[:size])
        rest = rest[size:]
    if len(rest):
        raise UnprocessableError(f"{len(rest):,} bytes follow the last input; binary_data_size must cover them all.")
    return tensors


def _from_json(spec: TensorSpec, given: RequestInput) -> Tensor:
    if given.data is None:
        raise UnprocessableError(f"Input {given.name!r} has neither data nor binary_data_size.")
    return read_json(spec, given.shape, given.data)


def _requested_outputs(body: InferenceRequest, signature: Signature) -> list[RequestedOutput]:
    every = _flag(body.parameters, "binary_data_output", default=False)
    if not body.outputs:
        return [RequestedOutput(place, every) for place in range(len(signature.outputs))]
    requested = [
        RequestedOutput(signature.find_output(each.name), _flag(each.parameters, "binary_data", default=every))
        for each in body.outputs
    ]
    if len({each.place for each in requested}) < len(requested):
        raise UnprocessableError("An output is asked for twice.")
    return requested


def _flag(parameters: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise UnprocessableError(f"The parameter {name!r} must be true or false.")
    return value
