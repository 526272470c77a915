"""Token ids to vectors: what one batch of texts is to an ONNX encoder."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.errors import StartupError
from app.inference.capacity import Workload, doubling
from app.inference.manifest import EmbeddingModel
from app.inference.ports import ModelSession

# Tokens of the shortest text that is measured.
SHORTEST = 16


def encode(session: ModelSession, ids: Sequence[Sequence[int]]) -> NDArray[np.float32]:
    """Run token ids, padded to the longest of them, through an encoder; gives rows of unit length."""
    longest = max(1, *map(len, ids))
    input_ids = np.zeros((len(ids), longest), dtype=np.int64)
    attention_mask = np.zeros_like(input_ids)
    for row, tokens in enumerate(ids):
        input_ids[row, : len(tokens)] = tokens
        attention_mask[row, : len(tokens)] = 1
    [vectors] = session.run({"input_ids": input_ids, "attention_mask": attention_mask})
    return _to_unit_length(vectors.astype(np.float32))


def _to_unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows in place to the unit length that vector stores rely on, and that not every exported model gives."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise ValueError("The model gave NaN or infinities.")
    np.divide(vectors, lengths, out=vectors, where=lengths > 0)
    return vectors


def encoder_workload(model: EmbeddingModel, batch_size: int, vocabulary: int) -> Workload:
    """Say what to measure an encoder with: more and more short texts, then longer ones."""

    def probe(session: ModelSession, units: int) -> None:
        rows = min(batch_size, max(1, units // SHORTEST))
        length = min(model.max_tokens, units // rows)
        ids: list[list[int]] = (np.arange(rows * length) % vocabulary).reshape(rows, length).tolist()
        try:
            shape = encode(session, ids).shape
        except Exception as error:
            raise StartupError(f"The model in {model.folder} does not run as an encoder: {error}") from error
        if shape != (rows, model.dimension):
            raise StartupError(f"The model in {model.folder} is not an encoder of {model.dimension} dimensions.")

    return Workload(probe, list(doubling(min(SHORTEST, model.max_tokens), batch_size * model.max_tokens)))
