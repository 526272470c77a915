"""Tests of an ONNX detector's inputs and outputs."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from app.adapters.onnx_session import OnnxModelSession, load_session
from app.vision.raw_detections import run_detector

SIDE = 32
GREY = np.full((SIDE, SIDE, 3), 51, np.uint8)


async def load_detector(path: Path, kind: int) -> OnnxModelSession:
    """Load a graph that returns the brightness of each channel as one cell."""
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images", "axes"], ["means"], keepdims=0),
            helper.make_node("Unsqueeze", ["means", "last"], ["output0"]),
        ],
        "detector",
        [helper.make_tensor_value_info("images", kind, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output0", kind, ["batch", 3, 1])],
        [
            helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3]),
            helper.make_tensor("last", TensorProto.INT64, [1], [2]),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9), path)
    return await load_session(path, providers=["CPUExecutionProvider"], threads=1)


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE])
async def test_pixels_come_as_the_numbers_that_the_graph_takes(kind: int, tmp_path: Path) -> None:
    session = await load_detector(tmp_path / "model.onnx", kind)
    [one, other] = run_detector(session, "images", [GREY, 2 * GREY])
    assert one.output.dtype == np.float32
    np.testing.assert_allclose(one.output, np.full((3, 1), 0.2), rtol=1e-3)
    np.testing.assert_allclose(other.output, np.full((3, 1), 0.4), rtol=1e-3)


async def test_a_graph_of_whole_numbers_is_not_given_zeros(tmp_path: Path) -> None:
    session = await load_detector(tmp_path / "model.onnx", TensorProto.INT32)
    with pytest.raises(Exception, match="Unexpected input data type"):
        run_detector(session, "images", [GREY])
