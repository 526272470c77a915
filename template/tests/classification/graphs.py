"""Small text classifiers, and folders that register them."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

TOKENIZER = Path(__file__).parents[2] / "models" / "embedding" / "tokenizer.json"
LABELS = ["calm", "angry", "puzzled"]
VOCABULARY = 30_522


def table() -> NDArray[np.float32]:
    """Return a number for each token and label."""
    return np.random.default_rng(7).normal(size=(VOCABULARY, len(LABELS))).astype(np.float32)


def summing_classifier(length: int | str = "length") -> onnx.ModelProto:
    """Build a graph that scores a text with the sums of its tokens' numbers for each label."""
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["each"]),
        helper.make_node("Unsqueeze", ["attention_mask", "last"], ["column"]),
        helper.make_node("Cast", ["column"], ["weights"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["each", "weights"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "tokens"], ["logits"], keepdims=0),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", length])
        for name in ("input_ids", "attention_mask")
    ]
    constants: dict[str, NDArray[Any]] = {
        "table": table(),
        "last": np.array([2], np.int64),
        "tokens": np.array([1], np.int64),
    }
    graph = helper.make_graph(
        nodes,
        "classifier",
        inputs,
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def register_classifier(models: Path, graph: onnx.ModelProto, **changes: Any) -> Path:  # noqa: ANN401 - whatever JSON holds
    """Write a graph, a tokenizer and the manifest that registers them."""
    manifest = {"name": "moods", "version": "1", "task": "tensors", "labels": LABELS, "max_tokens": 16} | changes
    folder = models / f"{manifest['name']}-{manifest['version']}"
    folder.mkdir(parents=True)
    onnx.save(graph, folder / "model.onnx")
    shutil.copy(TOKENIZER, folder)
    files = [folder / "model.onnx", folder / "tokenizer.json"]
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    (folder / "model.json").write_text(json.dumps({"files": sums} | manifest))
    return folder
