"""Tests of reading and writing Open Inference Protocol messages."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from app.errors import UnprocessableError
from app.inference.ports import Tensor, TensorSpec
from app.inference.signature import Signature
from app.inference.tensor_types import DTYPES
from app.open_inference.messages import Message, read_request
from app.open_inference.tensor_data import write_binary, write_json

ANY = Signature(
    tuple(TensorSpec(kind, kind, ("n", "m")) for kind in DTYPES),
    tuple(TensorSpec(kind, kind, ("n", "m")) for kind in DTYPES),
    {},
)
TEXTS = st.lists(st.text(max_size=5), min_size=6, max_size=6)


# Generating the first examples is slow on a busy machine.
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def tensors(kind: str) -> st.SearchStrategy[tuple[str, Tensor]]:
    if kind == "BYTES":
        return TEXTS.map(lambda texts: (kind, np.array(texts, dtype=object).reshape(2, 3)))
    elements = {"allow_nan": False, "allow_infinity": False} if kind.startswith("FP") else {}
    return arrays.arrays(DTYPES[kind], (2, 3), elements=elements).map(lambda tensor: (kind, tensor))


SENT = st.sampled_from(sorted(DTYPES)).flatmap(tensors)


def described(kind: str, tensor: Tensor, **more: object) -> dict[str, object]:
    return {"name": kind, "datatype": kind, "shape": list(tensor.shape), **more}


def as_message(*inputs: object, tail: bytes = b"", **more: Any) -> Message:  # noqa: ANN401 - whatever JSON holds
    head = json.dumps({"inputs": inputs, **more}).encode()
    return Message(head + tail, len(head) if tail else None)


@relaxed
@given(SENT)
def test_what_was_sent_in_json_is_what_the_model_gets(sent: tuple[str, Tensor]) -> None:
    kind, tensor = sent
    for elements in (tensor.tolist(), write_json(tensor, kind)):
        asked = read_request(as_message(described(kind, tensor, data=elements)), ANY)
        assert asked.tensors[kind].dtype == tensor.dtype
        np.testing.assert_array_equal(asked.tensors[kind], tensor)


@relaxed
@given(st.lists(SENT, min_size=1, max_size=4, unique_by=lambda sent: sent[0]))
def test_what_was_sent_as_bytes_is_what_the_model_gets(sent: list[tuple[str, Tensor]]) -> None:
    packed = [write_binary(tensor, kind) for kind, tensor in sent]
    sizes = [{"binary_data_size": len(each)} for each in packed]
    inputs = [described(kind, tensor, parameters=size) for (kind, tensor), size in zip(sent, sizes, strict=True)]
    asked = read_request(as_message(*inputs, tail=b"".join(packed)), ANY)
    for kind, tensor in sent:
        np.testing.assert_array_equal(asked.tensors[kind], tensor)


@relaxed
@given(st.binary(max_size=60), st.none() | st.integers(0, 80))
def test_any_bytes_at_all_are_read_or_refused(content: bytes, json_bytes: int | None) -> None:
    with pytest.raises(UnprocessableError):
        read_request(Message(content, json_bytes), ANY)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@relaxed
@given(
    name=st.sampled_from([*DTYPES, "other"]) | VALUES,
    datatype=st.sampled_from([*DTYPES, "fp32", ""]) | VALUES,
    shape=st.lists(st.integers(-1, 3), max_size=3) | VALUES,
    data=VALUES,
    parameters=st.dictionaries(st.sampled_from(["binary_data_size", "x"]), VALUES) | VALUES,
)
def test_any_input_at_all_is_read_or_refused(**fields: object) -> None:
    try:
        asked = read_request(as_message(fields), ANY)
    except UnprocessableError as error:
        refusal = error.detail
    else:
        [(kind, tensor)] = asked.tensors.items()
        assert tensor.dtype == DTYPES[kind]
        return
    assert "\n" not in refusal
    assert len(refusal) < 2000


@pytest.mark.parametrize(
    ("kind", "shape", "data", "reason"),
    [
        ("FP32", [1, 2], [1], "1 elements, but its shape says 2"),
        ("FP32", [1, 2], [1, "2"], "type float or int"),
        ("FP32", [1, 2], [1, None], "type"),
        ("FP32", [1, 2], [1, True], "type"),
        ("FP32", [1, 2], [[1], [2]], "nested"),
        ("FP32", [2, 2], [[1, 2], [3]], "equal length"),
        ("FP32", [2, 1], [[1], 2], "equal length"),
        ("FP32", [1, 1], [10**400], "too large"),
        ("FP32", [2], [1, 2], "shape"),
        ("FP32", [1, 0], [], "greater than or equal to 1"),
        ("FP32", [1, -1], [1], "greater than or equal to 1"),
        ("FP32", [1, 2.0], [1, 2], "valid integer"),
        ("FP32", [True, 1], [1], "valid integer"),
        ("FP32", [1] * 33, [1], "at most 32"),
        ("FP32", [2**31 - 1, 2**31 - 1], [1], "more than can be"),
        ("FP64", [1, 2], [1], "elements"),
        ("INT8", [1, 1], [128], "too large for INT8"),
        ("UINT8", [1, 1], [-1], "too large for UINT8"),
        ("INT64", [1, 1], [2**63], "too large for INT64"),
        ("INT64", [1, 1], [1.0], "type int"),
        ("INT64", [1, 1], [True], "type int"),
        ("BOOL", [1, 1], [1], "type bool"),
        ("BYTES", [1, 1], [1], "type str"),
    ],
)
def test_a_wrong_tensor_is_refused_by_name_with_the_reason(
    kind: str, shape: list[Any], data: list[Any], reason: str
) -> None:
    with pytest.raises(UnprocessableError) as caught:
        read_request(as_message({"name": kind, "datatype": kind, "shape": shape, "data": data}), ANY)
    assert reason in caught.value.detail
    assert kind in caught.value.detail or caught.value.detail.startswith("inputs.0.")


@pytest.mark.parametrize(
    ("kind", "size", "tail"),
    [
        ("FP32", 8, b"1234567"),
        ("FP32", 7, b"1234567"),
        ("FP32", 8, b"123456789"),
        ("FP32", -8, b"12345678"),
        ("FP32", True, b"12345678"),
        ("FP32", "8", b"12345678"),
        ("FP32", 10**30, b"12345678"),
        ("BOOL", 2, b"\x02\x01"),
        ("BYTES", 10, b"\1\0\0\0a\1\0\0\0\xff"),
        ("BYTES", 5, b"\1\0\0\0a"),
        ("BYTES", 12, b"\1\0\0\0a\1\0\0\0bcd"),
        ("BYTES", 9, b"\1\0\0\0a\xff\xff\xff\xff"),
        ("BYTES", 7, b"\1\0\0\0a\1\0"),
        ("BYTES", 15, b"\1\0\0\0a\1\0\0\0b\1\0\0\0c"),
    ],
)
def test_wrong_bytes_are_refused(kind: str, size: object, tail: bytes) -> None:
    given_ = {"name": kind, "datatype": kind, "shape": [1, 2], "parameters": {"binary_data_size": size}}
    with pytest.raises(UnprocessableError):
        read_request(as_message(given_, tail=tail), ANY)


def test_data_and_bytes_exclude_each_other_and_one_must_be() -> None:
    spec = {"name": "INT8", "datatype": "INT8", "shape": [1, 1]}
    with pytest.raises(UnprocessableError, match="neither"):
        read_request(as_message(spec), ANY)
    with pytest.raises(UnprocessableError, match="in place of data"):
        read_request(as_message(spec | {"data": [1], "parameters": {"binary_data_size": 1}}, tail=b"1"), ANY)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"outputs": [{"name": "other"}]}, "no output 'other'"),
        ({"outputs": [{"name": "INT8"}, {"name": "INT8"}]}, "twice"),
        ({"outputs": [{"name": "INT8", "parameters": {"binary_data": 1}}]}, "true or false"),
        ({"outputs": [{"name": "INT8", "parameters": {"classification": 3}}]}, "'classification'"),
        ({"parameters": {"binary_data_output": "yes"}}, "true or false"),
        ({"parameters": {"sequence_id": 7}}, "'sequence_id'"),
        ({"id": 7}, "id: "),
        ({"id": "x" * 257}, "id: "),
    ],
)
def test_a_request_that_cannot_be_followed_is_refused(more: dict[str, Any], reason: str) -> None:
    given_ = {"name": "INT8", "datatype": "INT8", "shape": [1, 1], "data": [1]}
    with pytest.raises(UnprocessableError) as caught:
        read_request(as_message(given_, **more), ANY)
    assert reason in caught.value.detail


def test_outputs_come_in_the_order_and_form_in_which_they_are_asked_for() -> None:
    given_ = {"name": "INT8", "datatype": "INT8", "shape": [1, 1], "data": [1]}
    every = read_request(as_message(given_, parameters={"binary_data_output": True}), ANY).outputs
    assert [each.place for each in every] == list(range(len(DTYPES)))
    assert all(each.binary for each in every)
    outputs = [{"name": "INT8"}, {"name": "BOOL", "parameters": {"binary_data": False}}]
    chosen = read_request(as_message(given_, outputs=outputs, parameters={"binary_data_output": True}), ANY).outputs
    assert [(ANY.outputs[each.place].name, each.binary) for each in chosen] == [("INT8", True), ("BOOL", False)]


def test_hints_of_other_servers_are_passed_over() -> None:
    given_ = {"name": "INT8", "datatype": "INT8", "shape": [1, 1], "data": [1], "parameters": {"content_type": "np"}}
    asked = read_request(as_message(given_, model_name="x", parameters={"priority": 1}), ANY)
    assert asked.tensors["INT8"].tolist() == [[1]]


def test_deep_and_endless_json_is_refused() -> None:
    deep = b'{"inputs": [{"name": "INT8", "datatype": "INT8", "shape": [1, 1], "data": ' + b"[" * 100_000
    digits = b'{"inputs": [{"name": "INT8", "datatype": "INT8", "shape": [1, 1], "data": [' + b"9" * 1_000_000 + b"]}]}"
    long_shape = digits.replace(b"[1, 1]", b"[1, " + b"9" * 10_000 + b"]")
    for content in (deep, digits, long_shape):
        with pytest.raises(UnprocessableError) as caught:
            read_request(Message(content), ANY)
        assert len(caught.value.detail) < 2000


def test_json_cannot_carry_what_is_not_a_number() -> None:
    with pytest.raises(UnprocessableError, match="binary data"):
        write_json(np.array([1, np.nan], np.float32), "y")
