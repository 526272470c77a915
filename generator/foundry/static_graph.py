"""The student as an ONNX graph: one int8 vector per vocabulary entry, summed over the text and normalised."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from foundry.teacher_graph import GraphWriter

Floats = NDArray[np.float32]
LIMIT = 127
LARGEST_SCALE = 64.0
BACKGROUND_SHARE = 1e-6


def quantise(table: Floats) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Return int8 rows and one scale per row, ``[entries, 1]``; a row of zeros stays zero."""
    scales = (np.abs(table).max(axis=1, keepdims=True) / LIMIT).astype(np.float16)
    steps = np.divide(table, scales, out=np.zeros_like(table), where=scales > 0)
    return np.clip(np.rint(steps), -LIMIT, LIMIT).astype(np.int8), scales


def static_model(table: Floats) -> onnx.ModelProto:
    """Build the graph over ``table``, ``[entries, dimension]``, whose row lengths are the tokens' weights.

    An empty text gets the mean direction of the table: a unit vector like every other answer.
    """
    # Only directions matter, so the whole table may be stretched to where half precision holds every scale.
    table = table * np.float32(LARGEST_SCALE * LIMIT / np.abs(table).max())
    write = GraphWriter()
    rows, scales = quantise(table)
    vectors = write.node("Gather", write.constant("rows", rows), "input_ids")
    vectors = write.node("Cast", vectors, to=TensorProto.FLOAT)
    scale = write.node("Gather", write.constant("scales", scales), "input_ids")
    scale = write.node("Cast", scale, to=TensorProto.FLOAT)
    mask = write.node("Unsqueeze", write.node("Cast", "attention_mask", to=TensorProto.FLOAT), write.integers(2))
    weighted = write.node("Mul", vectors, write.node("Mul", scale, mask))
    total = write.node("ReduceSum", weighted, write.integers(1), keepdims=0)
    background = table.mean(axis=0)
    typical = float(np.median(np.linalg.norm(table, axis=1)))
    background *= BACKGROUND_SHARE * typical / np.linalg.norm(background)
    total = write.node("Add", total, write.constant("background", background.astype(np.float32)))
    write.node("LpNormalization", total, output="sentence_embedding", axis=-1, p=2)
    return write.model("static_embedding", {"sentence_embedding": ["batch", table.shape[1]]})
