"""Graphs laid out like YOLO exports, and folders that register them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LABELS = [f"thing {number}" for number in range(80)]
CELLS = 8400
SIDE = 640


def yolo_graph(where: tuple[float, float, float, float], label: int) -> onnx.ModelProto:
    """Build a graph that detects one thing at this place, with the picture's brightness as its score.

    It takes one picture at a time, the default of exports.
    """
    cells = np.zeros((1, 4 + len(LABELS), CELLS), dtype=np.float32)
    cells[0, :4, 17] = where
    brightness = np.zeros_like(cells)
    brightness[0, 4 + label, 17] = 1
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "brightness"], ["scores"]),
        helper.make_node("Add", ["scores", "cells"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "yolo",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 4 + len(LABELS), CELLS])],
        [numpy_helper.from_array(cells, "cells"), numpy_helper.from_array(brightness, "brightness")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def register(folder: Path, graph: onnx.ModelProto, **changes: Any) -> Path:  # noqa: ANN401 - whatever JSON holds
    """Write the graph and the entry that registers it."""
    onnx.save(graph, folder / "model.onnx")
    checksum = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    entry = {"name": "yolo", "version": "11n", "layout": "yolo", "width": SIDE, "height": SIDE, "max_batch": 1}
    entry |= {"labels": LABELS, "files": {"model.onnx": checksum}, **changes}
    (folder / "model.json").write_text(json.dumps(entry))
    return folder
