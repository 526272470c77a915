"""The same sentence encoder in plain numpy, for one text at a time: an independent check of the ONNX graph."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf  # type: ignore[import-untyped]

from foundry.teacher_graph import EncoderShape, Weights

Array = NDArray[np.float64]


def reference_embedding(weights: Weights, shape: EncoderShape, input_ids: list[int]) -> Array:
    """Return the unit vector of one text in double precision, ``[hidden]``."""
    exact = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items() if value.dtype.kind == "f"}
    table = exact["embeddings.word_embeddings.weight"][input_ids]
    x = table + exact["embeddings.position_embeddings.weight"][: len(input_ids)]
    x = _norm(exact, shape, x + exact["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(shape.layers):
        prefix = f"encoder.layer.{layer}."
        mixed = _dense(exact, _attention(exact, shape, x, prefix), f"{prefix}attention.output.dense")
        x = _norm(exact, shape, x + mixed, f"{prefix}attention.output.LayerNorm")
        inner = _dense(exact, x, f"{prefix}intermediate.dense")
        inner = _dense(exact, inner * (1 + erf(inner / np.sqrt(2))) / 2, f"{prefix}output.dense")
        x = _norm(exact, shape, x + inner, f"{prefix}output.LayerNorm")
    mean = x.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


def _attention(exact: dict[str, Array], shape: EncoderShape, x: Array, prefix: str) -> Array:
    query, key, value = (_dense(exact, x, f"{prefix}attention.self.{name}") for name in ("query", "key", "value"))
    heads: list[Any] = []
    for part in np.split(np.arange(shape.hidden), shape.heads):
        scores = query[:, part] @ key[:, part].T / np.sqrt(len(part))
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        heads.append(shares / shares.sum(axis=1, keepdims=True) @ value[:, part])
    return np.concatenate(heads, axis=1)


def _dense(exact: dict[str, Array], x: Array, name: str) -> Array:
    return x @ exact[f"{name}.weight"].T + exact[f"{name}.bias"]


def _norm(exact: dict[str, Array], shape: EncoderShape, x: Array, name: str) -> Array:
    x = x - x.mean(axis=-1, keepdims=True)
    scaled: Array = exact[f"{name}.weight"] * x / np.sqrt(x.var(axis=-1, keepdims=True) + shape.epsilon)
    return scaled + exact[f"{name}.bias"]
