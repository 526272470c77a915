"""The models of the batching benchmark, made here: random weights, the right shapes and costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from batching_inputs import FEATURES, VOCABULARY
from onnx import TensorProto, checker, helper, numpy_helper, save

if TYPE_CHECKING:
    from pathlib import Path

OPSET = 20


class Graph:
    """Nodes and weights, as they are added."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.nodes: list[object] = []
        self.weights: list[object] = []
        self._random = np.random.default_rng(7)

    def weight(self, *shape: int, scale: float | None = None) -> str:
        """Add a random matrix."""
        values = self._random.standard_normal(shape, dtype=np.float32)
        return self.constant(values * np.float32(scale if scale is not None else shape[0] ** -0.5))

    def constant(self, values: object) -> str:
        """Add an array."""
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def __call__(self, operator: str, *inputs: str, **attributes: object) -> str:
        """Add a node and return the name of what it gives."""
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def save(self, path: Path, inputs: list[object], output: str, width: int) -> None:
        """Write the model."""
        self.nodes.append(helper.make_node("Identity", [output], ["output"]))
        given = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["batch", width])
        graph = helper.make_graph(self.nodes, "bench", inputs, [given], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        checker.check_model(model)
        save(model, str(path))


def make_compute_bound(path: Path) -> None:
    """Few weights, much work for each row: every row is its own matrix."""
    graph, tokens, width = Graph(), 64, 256
    rows = graph("Reshape", graph("MatMul", "x", graph.weight(FEATURES, tokens * 16)), graph.constant([0, tokens, 16]))
    state = graph("MatMul", rows, graph.weight(16, width))
    for _ in range(40):
        state = graph("Relu", graph("MatMul", state, graph.weight(width, width, scale=0.09)))
    pooled = graph("ReduceMean", state, graph.constant([1]), keepdims=0)
    graph.save(path, [_vector_input()], graph("MatMul", pooled, graph.weight(width, 16)), 16)


def make_weight_bound(path: Path) -> None:
    """Many weights, little work for each row: reading them takes the time."""
    graph, width = Graph(), 2048
    state = graph("MatMul", "x", graph.weight(FEATURES, width))
    for _ in range(14):
        state = graph("Relu", graph("MatMul", state, graph.weight(width, width)))
    graph.save(path, [_vector_input()], graph("MatMul", state, graph.weight(width, 16)), 16)


def make_encoder(path: Path, *, layers: int = 6, width: int = 384, heads: int = 12) -> None:
    """Build the shape of MiniLM: token ids to the mean of what six layers of attention make of them."""
    graph = Graph()
    mask = graph("Cast", "attention_mask", to=TensorProto.FLOAT)
    hidden = graph("Sub", graph.constant(np.float32(1)), mask)
    bias = graph(
        "Unsqueeze", graph("Mul", hidden, graph.constant(np.float32(-1e9))), graph.constant(np.array([1, 2], np.int64))
    )
    state = graph("Gather", graph.weight(VOCABULARY, width, scale=1), "input_ids")
    for _ in range(layers):
        state = _add_layer(graph, state, bias, width, heads)
    column = graph("Unsqueeze", mask, graph.constant(np.array([2], np.int64)))
    axis = graph.constant(np.array([1], np.int64))
    total = graph("ReduceSum", graph("Mul", state, column), axis, keepdims=0)
    graph.save(path, _token_inputs(), graph("Div", total, graph("ReduceSum", column, axis, keepdims=0)), width)


def _add_layer(graph: Graph, state: str, bias: str, width: int, heads: int) -> str:
    def split(transposed: list[int]) -> str:
        projected = graph("MatMul", state, graph.weight(width, width))
        parts = graph("Reshape", projected, graph.constant(np.array([0, 0, heads, width // heads], np.int64)))
        return graph("Transpose", parts, perm=transposed)

    query, key, value = split([0, 2, 1, 3]), split([0, 2, 3, 1]), split([0, 2, 1, 3])
    scaled = graph("Mul", graph("MatMul", query, key), graph.constant(np.float32((width // heads) ** -0.5)))
    weights = graph("Softmax", graph("Add", scaled, bias), axis=-1)
    mixed = graph("Transpose", graph("MatMul", weights, value), perm=[0, 2, 1, 3])
    joined = graph("Reshape", mixed, graph.constant(np.array([0, 0, width], np.int64)))
    state = _normalised(graph, graph("Add", state, graph("MatMul", joined, graph.weight(width, width))), width)
    inner = graph("Gelu", graph("MatMul", state, graph.weight(width, 4 * width)))
    return _normalised(graph, graph("Add", state, graph("MatMul", inner, graph.weight(4 * width, width))), width)


def _normalised(graph: Graph, state: str, width: int) -> str:
    scale, shift = graph.constant(np.ones(width, np.float32)), graph.constant(np.zeros(width, np.float32))
    return graph("LayerNormalization", state, scale, shift, axis=-1)


def _vector_input() -> object:
    return helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", FEATURES])


def _token_inputs() -> list[object]:
    shape = ["batch", "length"]
    return [helper.make_tensor_value_info(name, TensorProto.INT64, shape) for name in ("input_ids", "attention_mask")]


MAKERS = {"compute": make_compute_bound, "weight": make_weight_bound, "encoder": make_encoder}
