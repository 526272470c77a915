"""The fitted network as an ONNX graph whose output is laid out as YOLO exports are."""

from dataclasses import dataclass, field

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from foundry.detection.network import LAYERS, OUTPUTS, STRIDES, forward
from foundry.detection.scenes import SIZE
from foundry.teacher_graph import IR_VERSION, OPSET, GraphWriter

Weights = dict[str, NDArray[np.float32]]
INPUT, OUTPUT = "images", "output0"


@dataclass
class GraphOperations:
    """The network's parts as nodes of a graph; weights are kept in half precision and widened on loading."""

    weights: Weights
    write: GraphWriter = field(default_factory=GraphWriter)

    def convolve(self, name: str, picture: str) -> str:
        """Apply the layer of this name."""
        layer, edge = LAYERS[name], LAYERS[name].kernel // 2
        weight = self.write.constant(f"{name}.weight", self.weights[f"{name}.weight"].astype(np.float16))
        weight = self.write.node("Cast", weight, to=TensorProto.FLOAT)
        bias = self.write.constant(f"{name}.bias", self.weights[f"{name}.bias"])
        strides = [layer.stride, layer.stride]
        made = self.write.node("Conv", picture, weight, bias, strides=strides, pads=[edge] * 4)
        return self.write.node("Relu", made) if layer.active else made

    def add(self, one: str, other: str) -> str:
        """Add two pictures of one size."""
        return self.write.node("Add", one, other)

    def enlarge(self, picture: str) -> str:
        """Double width and height by repeating."""
        scales = self.write.constant("twice", np.array([1, 1, 2, 2], np.float32))
        rule = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self.write.node("Resize", picture, "", scales, **rule)


def detector_model(weights: Weights) -> onnx.ModelProto:
    """Build the graph.

    Its input ``images`` is float32 ``[batch, 3, SIZE, SIZE]``, RGB from 0 to 1. Its output ``output0`` is float32
    ``[batch, 4 + classes, cells]``: centre x, centre y, width and height in pixels of the input, then one score from 0
    to 1 for each class.
    """
    operations = GraphOperations(weights)
    write = operations.write
    flat = [write.node("Reshape", each, write.integers(0, OUTPUTS, -1)) for each in forward(operations, INPUT)]
    raw = write.node("Concat", *flat, axis=2)
    before, after, logits = (_rows(write, raw, *rows) for rows in ((0, 2), (2, 4), (4, OUTPUTS)))
    centres, strides = _grid()
    stride = write.constant("strides", strides)
    before, after = (write.node("Mul", write.node("Softplus", each), stride) for each in (before, after))
    half = write.node("Mul", write.node("Sub", after, before), write.constant("half", np.float32(0.5)))
    centre = write.node("Add", half, write.constant("centres", centres))
    size = write.node("Add", before, after)
    write.node("Concat", centre, size, write.node("Sigmoid", logits), output=OUTPUT, axis=1)
    return _close(write, centres.shape[1])


def _rows(write: GraphWriter, tensor: str, first: int, last: int) -> str:
    return write.node("Slice", tensor, write.integers(first), write.integers(last), write.integers(1))


def _grid() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    centres, strides = [], []
    for stride in STRIDES:
        along = (np.arange(SIZE // stride) + 0.5) * stride
        columns, rows = np.meshgrid(along, along)
        centres.append(np.stack([columns.ravel(), rows.ravel()]))
        strides.append(np.full(columns.size, stride))
    return np.concatenate(centres, axis=1).astype(np.float32), np.concatenate(strides).astype(np.float32)


def _close(write: GraphWriter, cells: int) -> onnx.ModelProto:
    pictures = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["batch", 3, SIZE, SIZE])
    found = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["batch", OUTPUTS, cells])
    graph = helper.make_graph(write.nodes, "detector", [pictures], [found], list(write.constants.values()))
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, producer_name="aiapi-foundry", opset_imports=opset, ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model
