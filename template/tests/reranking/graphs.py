"""Small cross-encoders, and folders that register them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from tokenizers.processors import TemplateProcessing

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(200))]
PADDING = WORDS.index("[PAD]")


def weights() -> NDArray[np.float32]:
    """Return a number for each word."""
    return np.random.default_rng(3).normal(scale=0.2, size=len(WORDS)).astype(np.float32)


def word_tokenizer() -> Tokenizer:
    """Return a tokenizer that splits at spaces and joins a query and a document as BERT does."""
    tokenizer = Tokenizer(WordLevel({word: at for at, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", WORDS.index("[CLS]")), ("[SEP]", WORDS.index("[SEP]"))],
    )
    return tokenizer


def cross_encoder(*, types: bool = True, keepdims: int = 1, scale: float = 1.0) -> onnx.ModelProto:
    """Build a graph whose logit is the sum of its tokens' numbers, with those of the document counted twice.

    Args:
        types: whether it takes `token_type_ids`; without them, tokens of the document count once.
        keepdims: 1 returns `[batch, 1]`, 0 returns `[batch]`.
        scale: multiplies the numbers.
    """
    names = ["input_ids", "attention_mask"] + ["token_type_ids"] * types
    nodes = [
        helper.make_node("Gather", ["numbers", "input_ids"], ["each"]),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["each", "mask"], ["once" if types else "kept"]),
    ]
    if types:
        nodes += [
            helper.make_node("Cast", ["token_type_ids"], ["types"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["once", "types"], ["again"]),
            helper.make_node("Add", ["once", "again"], ["kept"]),
        ]
    nodes.append(helper.make_node("ReduceSum", ["kept", "tokens"], ["logits"], keepdims=keepdims))
    graph = helper.make_graph(
        nodes,
        "cross-encoder",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "length"]) for name in names],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1] if keepdims else ["batch"])],
        [
            numpy_helper.from_array(weights() * np.float32(scale), "numbers"),
            numpy_helper.from_array(np.array([1], np.int64), "tokens"),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def expected_logit(query: str, document: str, max_tokens: int, *, types: bool = True) -> float:
    """Compute the graph's result, truncating the second text as the tokenizer does."""
    tokenizer = word_tokenizer()
    tokenizer.enable_truncation(max_tokens, strategy="only_second")
    pair = tokenizer.encode(query, document)
    numbers = weights()[pair.ids]
    return float((numbers * (1 + np.array(pair.type_ids)) if types else numbers).sum())


def register_cross_encoder(models: Path, graph: onnx.ModelProto, **changes: Any) -> Path:  # noqa: ANN401 - whatever JSON holds
    """Write a graph, a tokenizer and the manifest that registers them."""
    manifest = {"name": "judge", "version": "1", "task": "rerank", "max_tokens": 16, "max_batch": 8} | changes
    folder = models / f"{manifest['name']}-{manifest['version']}"
    folder.mkdir(parents=True)
    onnx.save(graph, folder / "model.onnx")
    word_tokenizer().save(str(folder / "tokenizer.json"))
    files = [folder / "model.onnx", folder / "tokenizer.json"]
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    (folder / "model.json").write_text(json.dumps({"files": sums} | manifest))
    return folder
