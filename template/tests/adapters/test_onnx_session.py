"""Tests of the errors for files that cannot be opened as a model."""

import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from app.adapters.onnx_session import load_session
from app.errors import StartupError
from tests.inference.tensor_graphs import affine


def of_a_newer_opset() -> bytes:
    graph = affine()
    graph.opset_import[0].version = 99
    return bytes(graph.SerializeToString())


def of_a_newer_format() -> bytes:
    graph = affine()
    graph.ir_version = 99
    return bytes(graph.SerializeToString())


def with_a_strange_operator() -> bytes:
    graph = affine()
    graph.graph.node[0].op_type = "Strange"
    return bytes(graph.SerializeToString())


def with_an_operator_of_somebody_else() -> bytes:
    graph = affine()
    graph.graph.node[0].domain = "com.acme"
    graph.opset_import.append(onnx.helper.make_opsetid("com.acme", 1))
    return bytes(graph.SerializeToString())


def cut_off() -> bytes:
    return bytes(affine().SerializeToString()[:-20])


async def refusal(path: Path) -> str:
    with pytest.raises(StartupError) as raised:
        await load_session(path, providers=["CPUExecutionProvider"], threads=1)
    return raised.value.detail


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (of_a_newer_opset, "export it for an older opset"),
        (of_a_newer_format, "export it for an older opset"),
        (with_a_strange_operator, "operators that onnxruntime lacks"),
        (with_an_operator_of_somebody_else, "operators that onnxruntime lacks"),
        (cut_off, "cut off"),
    ],
)
async def test_what_is_wrong_with_a_graph_is_told_in_one_line(
    make: Callable[[], bytes], says: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(make())
    told = await refusal(path)
    assert told.startswith(f"onnxruntime cannot load {path}: ")
    assert says in told
    assert "\n" not in told


@pytest.mark.parametrize("name", ["model.onnx", "model.onnx.data"])
async def test_a_model_that_is_larger_than_the_memory_is_not_even_opened(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(affine().SerializeToString())
    (tmp_path / name).touch()
    os.truncate(tmp_path / name, 8_000_000_000_000)  # a sparse file: it takes no space
    told = await refusal(path)
    assert told.startswith(f"The model {path} has 8000.0 GB, but only ")


async def test_the_provider_of_each_node_is_told(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(affine().SerializeToString())
    session = await load_session(path, providers=["CPUExecutionProvider"], threads=1)
    assert sorted(session.operators_on("CPUExecutionProvider")) == ["Add", "Mul"]
    assert session.operators_on("CUDAExecutionProvider") == []
    assert session.shares == {"CPUExecutionProvider": 1.0}
