"""The BERT sentence encoder as an ONNX graph, written from its weights without a training framework."""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 20
IR_VERSION = 9
Weights = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class EncoderShape:
    """The sizes that the weights alone do not tell."""

    layers: int
    heads: int
    hidden: int
    epsilon: float


@dataclass
class GraphWriter:
    """Collects the nodes and constants of one graph; every method returns the name of a tensor."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def constant(self, name: str, value: NDArray[Any] | np.generic) -> str:
        """Store ``value`` under ``name``; a second call with the same name replaces it."""
        self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value).reshape(np.shape(value)), name)
        return name

    def integers(self, *values: int) -> str:
        """Store a one-dimensional int64 constant."""
        return self.constant("int64_" + "_".join(map(str, values)), np.array(values, dtype=np.int64))

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:  # noqa: ANN401
        """Append one operator with a single output."""
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=f"{kind}_{len(self.nodes)}", **attributes))
        return name

    def model(self, name: str, outputs: dict[str, list[str | int]]) -> onnx.ModelProto:
        """Close the graph over ``input_ids`` and ``attention_mask`` and check it.

        Args:
            name: Name of the graph.
            outputs: Shape of each float32 output, by tensor name.
        """
        inputs = [
            helper.make_tensor_value_info(text, TensorProto.INT64, ["batch", "sequence"])
            for text in ("input_ids", "attention_mask")
        ]
        results = [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in outputs.items()]
        graph = helper.make_graph(self.nodes, name, inputs, results, list(self.constants.values()))
        model = helper.make_model(
            graph, producer_name="aiapi-foundry", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        onnx.checker.check_model(model)
        return model


def encoder_model(weights: Weights, shape: EncoderShape, *, token_states: bool = False) -> onnx.ModelProto:
    """Build the encoder with mean pooling and L2 normalisation inside.

    Args:
        weights: Tensors of a ``BertModel`` by their published names.
        shape: Sizes from the model's configuration.
        token_states: Also give the last layer's states, ``[batch, sequence, hidden]``, as ``token_states``.
    """
    write = GraphWriter()
    mask = write.node("Cast", "attention_mask", to=TensorProto.FLOAT)
    states = _embeddings(write, weights, shape)
    hidden = write.node("Sub", mask, write.constant("one", np.float32(1)))
    hidden = write.node("Mul", hidden, write.constant("large", np.float32(1e9)))
    mask_bias = write.node("Unsqueeze", hidden, write.integers(1, 2))
    for layer in range(shape.layers):
        states = _layer(write, weights, shape, states, mask_bias, f"encoder.layer.{layer}.")
    outputs: dict[str, list[str | int]] = {"sentence_embedding": ["batch", shape.hidden]}
    if token_states:
        states = write.node("Identity", states, output="token_states")
        outputs["token_states"] = ["batch", "sequence", shape.hidden]
    column = write.node("Unsqueeze", mask, write.integers(2))
    total = write.node("ReduceSum", write.node("Mul", states, column), write.integers(1), keepdims=0)
    count = write.node("ReduceSum", column, write.integers(1), keepdims=0)
    mean = write.node("Div", total, write.node("Max", count, write.constant("one", np.float32(1))))
    # Far below one unit in the last place of a real mean, so it only decides the direction of an empty text.
    mean = write.node("Add", mean, write.constant("tiny", np.float32(1e-12)))
    write.node("LpNormalization", mean, output="sentence_embedding", axis=-1, p=2)
    return write.model("sentence_encoder", outputs)


def _embeddings(write: GraphWriter, weights: Weights, shape: EncoderShape) -> str:
    words = write.constant("words", weights["embeddings.word_embeddings.weight"])
    positions = write.constant("positions", weights["embeddings.position_embeddings.weight"])
    segment = write.constant("segment", weights["embeddings.token_type_embeddings.weight"][0])
    length = write.node("Shape", "input_ids", start=1, end=2)
    length = write.node("Squeeze", length)
    zero = write.constant("zero", np.int64(0))
    order = write.node("Range", zero, length, write.constant("step", np.int64(1)))
    total = write.node("Add", write.node("Gather", words, "input_ids"), segment)
    total = write.node("Add", total, write.node("Gather", positions, order))
    return _layer_norm(write, weights, shape, total, "embeddings.LayerNorm")


def _layer(  # noqa: PLR0913, PLR0917 - the graph, its weights and three tensors belong together
    write: GraphWriter, weights: Weights, shape: EncoderShape, x: str, mask_bias: str, prefix: str
) -> str:
    size = shape.hidden // shape.heads
    split = write.integers(0, 0, shape.heads, size)
    query, key, value = (
        write.node("Reshape", _linear(write, weights, x, f"{prefix}attention.self.{name}"), split)
        for name in ("query", "key", "value")
    )
    query = write.node("Transpose", query, perm=[0, 2, 1, 3])
    key = write.node("Transpose", key, perm=[0, 2, 3, 1])
    value = write.node("Transpose", value, perm=[0, 2, 1, 3])
    scale = write.constant("scale", np.float32(1 / math.sqrt(size)))
    scores = write.node("Add", write.node("Mul", write.node("MatMul", query, key), scale), mask_bias)
    mixed = write.node("MatMul", write.node("Softmax", scores, axis=-1), value)
    mixed = write.node("Transpose", mixed, perm=[0, 2, 1, 3])
    mixed = write.node("Reshape", mixed, write.integers(0, 0, shape.hidden))
    mixed = _linear(write, weights, mixed, f"{prefix}attention.output.dense")
    x = _layer_norm(write, weights, shape, write.node("Add", mixed, x), f"{prefix}attention.output.LayerNorm")
    inner = write.node("Gelu", _linear(write, weights, x, f"{prefix}intermediate.dense"))
    inner = _linear(write, weights, inner, f"{prefix}output.dense")
    return _layer_norm(write, weights, shape, write.node("Add", inner, x), f"{prefix}output.LayerNorm")


def _linear(write: GraphWriter, weights: Weights, x: str, name: str) -> str:
    matrix = write.constant(f"{name}.weight", weights[f"{name}.weight"].T)
    return write.node("Add", write.node("MatMul", x, matrix), write.constant(f"{name}.bias", weights[f"{name}.bias"]))


def _layer_norm(write: GraphWriter, weights: Weights, shape: EncoderShape, x: str, name: str) -> str:
    gain = write.constant(f"{name}.weight", weights[f"{name}.weight"])
    bias = write.constant(f"{name}.bias", weights[f"{name}.bias"])
    return write.node("LayerNormalization", x, gain, bias, axis=-1, epsilon=shape.epsilon)
