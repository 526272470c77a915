"""Small graphs with tensors as inputs and outputs, and folders that register them."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TYPES = {
    "BOOL": TensorProto.BOOL,
    "BYTES": TensorProto.STRING,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
}

Shape = Sequence[int | str | None]


def _graph(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, tuple[str, Shape]],
    outputs: Mapping[str, tuple[str, Shape]],
    **constants: np.ndarray[Any, Any],
) -> onnx.ModelProto:
    def values(of: Mapping[str, tuple[str, Shape]]) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, TYPES[kind], shape) for name, (kind, shape) in of.items()]

    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(list(nodes), "test", values(inputs), values(outputs), initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def affine(slope: float = 2.0, rows: int | str | None = "batch") -> onnx.ModelProto:
    """Build `y = slope * x + 1`, with three numbers per row."""
    nodes = [helper.make_node("Mul", ["x", "slope"], ["scaled"]), helper.make_node("Add", ["scaled", "one"], ["y"])]
    shapes: Shape = [rows, 3]
    constants = {"slope": np.array(slope, np.float32), "one": np.array(1, np.float32)}
    return _graph(nodes, {"x": ("FP32", shapes)}, {"y": ("FP32", shapes)}, **constants)


def centred() -> onnx.ModelProto:
    """Build `y = x - mean of the rows`, where a row's result depends on the others."""
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"]),
        helper.make_node("Sub", ["x", "mean"], ["y"]),
    ]
    shapes: Shape = ["batch", 3]
    return _graph(nodes, {"x": ("FP32", shapes)}, {"y": ("FP32", shapes)}, axes=np.array([0], np.int64))


def listwise() -> onnx.ModelProto:
    """Build `y = mean of x - mean of all rows`, of integers: scores of candidates relative to each other."""
    nodes = [
        helper.make_node("Cast", ["x"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers", "of row"], ["score"]),
        helper.make_node("ReduceMean", ["score", "of rows"], ["mean"]),
        helper.make_node("Sub", ["score", "mean"], ["y"]),
    ]
    constants = {"of row": np.array([1], np.int64), "of rows": np.array([0], np.int64)}
    return _graph(nodes, {"x": ("INT64", ["batch", 3])}, {"y": ("FP32", ["batch", 1])}, **constants)


def likeness() -> onnx.ModelProto:
    """Build a graph that compares each text with that of the first row."""
    nodes = [helper.make_node("Gather", ["x", "zero"], ["first"]), helper.make_node("Equal", ["x", "first"], ["y"])]
    shapes: Shape = ["batch", 1]
    return _graph(nodes, {"x": ("BYTES", shapes)}, {"y": ("BOOL", shapes)}, zero=np.array([0], np.int64))


def lookup(length: str = "length") -> onnx.ModelProto:
    """Build a table of four entries; any other index is an error."""
    node = helper.make_node("Gather", ["table", "index"], ["value"])
    table = np.array([10, 20, 30, 40], np.float32)
    shapes: Shape = ["batch", length]
    return _graph([node], {"index": ("INT64", shapes)}, {"value": ("FP32", shapes)}, table=table)


def masked_sum() -> onnx.ModelProto:
    """Build each row's sum where a mask of the same shape is not 0, and its reciprocal."""
    nodes = [
        helper.make_node("Cast", ["mask"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["x", "weights"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axes"], ["sum"], keepdims=0),
        helper.make_node("Reciprocal", ["sum"], ["reciprocal"]),
    ]
    shapes: Shape = ["batch", "length"]
    inputs = {"x": ("FP32", shapes), "mask": ("INT64", shapes)}
    outputs: dict[str, tuple[str, Shape]] = {"sum": ("FP32", ["batch"]), "reciprocal": ("FP32", ["batch"])}
    return _graph(nodes, inputs, outputs, axes=np.array([1], np.int64))


def echo() -> onnx.ModelProto:
    """Build a graph that returns one tensor of every type."""
    nodes = [helper.make_node("Identity", [kind], [f"{kind} again"]) for kind in TYPES]
    shapes: Shape = ["batch", "length"]
    inputs = {kind: (kind, shapes) for kind in TYPES}
    return _graph(nodes, inputs, {f"{kind} again": (kind, shapes) for kind in TYPES})


def growing() -> onnx.ModelProto:
    """Build a graph that counts to `n` by allocating that many ones, so that the caller controls its memory use."""
    nodes = [
        helper.make_node("Expand", ["one", "n"], ["ones"]),
        helper.make_node("ReduceSum", ["ones", "axes"], ["y"], keepdims=1),
    ]
    one, axes = np.array([1], np.float32), np.array([0], np.int64)
    return _graph(nodes, {"n": ("INT64", [1])}, {"y": ("FP32", [1])}, one=one, axes=axes)


def register(models: Path, name: str, graph: onnx.ModelProto, version: str = "1", **changes: object) -> Path:
    """Write a graph and its manifest into a new folder."""
    folder = models / f"{name}-{version}"
    folder.mkdir(parents=True)
    onnx.save(graph, folder / "model.onnx")
    checksum = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    manifest = {"name": name, "version": version, "task": "tensors", "files": {"model.onnx": checksum}} | changes
    (folder / "model.json").write_text(json.dumps(manifest))
    return folder
