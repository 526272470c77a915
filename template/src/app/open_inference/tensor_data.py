"""Convert tensors from and to JSON and binary data (row-major, little-endian)."""

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np

from app.errors import UnprocessableError
from app.inference.ports import Tensor, TensorSpec
from app.inference.tensor_types import DTYPES, is_float

LENGTH_BYTES = 4


def read_json(spec: TensorSpec, shape: Sequence[int], data: list[Any]) -> Tensor:
    """Return a tensor from JSON data, which is flat or nested like the shape.

    Raises:
        UnprocessableError: the elements do not fit the shape or the type.
    """
    count = math.prod(shape)
    # If the outer list alone has too many elements, do not flatten it.
    elements = _flatten(spec.name, shape, data) if len(data) <= count else data
    if len(elements) != count:
        raise UnprocessableError(
            f"Input {spec.name!r} has {len(elements):,} elements, but its shape says {_number(count)}."
        )
    wanted = _json_types(spec.datatype)
    if not wanted.issuperset(map(type, elements)):
        names = " or ".join(sorted(each.__name__ for each in wanted))
        raise UnprocessableError(f"Input {spec.name!r} is {spec.datatype}: every element must be of the type {names}.")
    try:
        return _to_array(elements, spec.datatype).reshape(shape)
    except OverflowError as error:
        raise UnprocessableError(f"Input {spec.name!r} holds a number too large for {spec.datatype}.") from error


def read_binary(spec: TensorSpec, shape: Sequence[int], content: memoryview) -> Tensor:
    """Return a tensor from binary data.

    Raises:
        UnprocessableError: the bytes do not fit the shape or the type.
    """
    count = math.prod(shape)
    if spec.datatype == "BYTES":
        return _read_texts(spec.name, content, count).reshape(shape)
    dtype = DTYPES[spec.datatype]
    if len(content) != count * dtype.itemsize:
        raise UnprocessableError(
            f"Input {spec.name!r} has {len(content):,} bytes, but its shape says {_number(count * dtype.itemsize)}."
        )
    if spec.datatype == "BOOL" and np.frombuffer(content, np.uint8).max(initial=0) > 1:
        raise UnprocessableError(f"Input {spec.name!r} is BOOL: every byte must be 0 or 1.")
    # A copy, because unaligned data is slow or unreadable.
    return np.frombuffer(content, dtype).reshape(shape).copy()


def write_json(tensor: Tensor, name: str) -> list[Any]:
    """Return the elements of an output as a flat list.

    Raises:
        UnprocessableError: the output contains NaN or infinities.
    """
    if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
        raise UnprocessableError(
            f"Output {name!r} holds NaN or infinities, which JSON cannot carry: ask for it as binary data."
        )
    elements: list[Any] = tensor.ravel().tolist()
    return elements


def write_binary(tensor: Tensor, datatype: str) -> bytes | memoryview:
    """Return an output's elements as binary data, without a copy if they are already laid out like that."""
    if datatype == "BYTES":
        texts = [each.encode() for each in tensor.ravel().tolist()]
        return b"".join(chain.from_iterable((len(each).to_bytes(LENGTH_BYTES, "little"), each) for each in texts))
    return np.ascontiguousarray(tensor, DTYPES[datatype]).reshape(-1).view(np.uint8).data


def _flatten(name: str, shape: Sequence[int], data: list[Any]) -> list[Any]:
    dimensions = [len(data)]
    while data and type(data[0]) is list:
        width = len(data[0])
        if any(type(each) is not list or len(each) != width for each in data):
            raise UnprocessableError(f"Input {name!r}: lists that are nested must be of equal length.")
        dimensions.append(width)
        data = list(chain.from_iterable(data))
    if len(dimensions) > 1 and dimensions != list(shape):
        raise UnprocessableError(f"Input {name!r}: the data is not nested as its shape says; it may also be flat.")
    return data


def _json_types(datatype: str) -> set[type]:
    if datatype == "BYTES":
        return {str}
    if datatype == "BOOL":
        return {bool}
    return {int, float} if is_float(datatype) else {int}


def _to_array(elements: list[Any], datatype: str) -> Tensor:
    if not is_float(datatype):
        return np.array(elements, DTYPES[datatype])
    with np.errstate(over="ignore"):  # overflow gives infinities, which the signature's check handles
        return np.array(elements, np.float64).astype(DTYPES[datatype])


def _read_texts(name: str, content: memoryview, count: int) -> Tensor:
    texts: list[str] = []
    at = 0
    while at < len(content) and len(texts) < count:
        begin = at + LENGTH_BYTES
        at = begin + int.from_bytes(content[at:begin], "little")
        if at > len(content):
            break
        try:
            texts.append(str(content[begin:at], "utf-8"))
        except UnicodeDecodeError as error:
            raise UnprocessableError(f"Input {name!r} is BYTES: every element must be text in UTF-8.") from error
    if at != len(content) or len(texts) != count:
        raise UnprocessableError(
            f"Input {name!r}: the bytes are not as many elements, lengths and all, as its shape says."
        )
    return np.array(texts, dtype=object)


def _number(count: int) -> str:
    # Python refuses to format numbers of thousands of digits.
    return f"{count:,}" if count < 10**18 else "more than can be"
