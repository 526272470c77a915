"""Run one batch of token ids through an ONNX encoder."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.errors import StartupError
from app.inference.capacity import Workload, doubling
from app.inference.manifest import EmbeddingModel, Pooling
from app.inference.ports import ModelSession, Tensor
from app.inference.token_input import IDS, MASK, TYPES

# Tokens of the shortest text in measurements.
SHORTEST = 16
# Rank of an output with one vector per token.
TOKEN_VECTORS = 3


def encode(session: ModelSession, ids: Sequence[Sequence[int]], pooling: Pooling | None = None) -> NDArray[np.float32]:
    """Return one vector of unit length per text; token ids are padded to the longest text.

    Without `pooling` the graph must return one vector per text, otherwise one per token.
    """
    longest = max(1, *map(len, ids))
    input_ids = np.zeros((len(ids), longest), dtype=np.int64)
    attention_mask = np.zeros_like(input_ids)
    for row, tokens in enumerate(ids):
        input_ids[row, : len(tokens)] = tokens
        attention_mask[row, : len(tokens)] = 1
    inputs: dict[str, Tensor] = {IDS: input_ids, MASK: attention_mask}
    if any(each.name == TYPES for each in session.inputs):
        inputs[TYPES] = np.zeros_like(input_ids)
    outputs = session.run(inputs)
    return _to_unit_length(_pool(outputs, attention_mask, pooling).astype(np.float32))


def _pool(outputs: Sequence[Tensor], mask: NDArray[np.int64], pooling: Pooling | None) -> Tensor:
    """Return one vector per text: the graph's only output, or its token vectors, pooled."""
    if pooling is None:
        if len(outputs) != 1:
            raise ValueError(f"it has {len(outputs)} outputs; its manifest may declare `pooling` to choose one")
        return outputs[0]
    states = next((each for each in outputs if each.ndim == TOKEN_VECTORS), None)
    if states is None:
        raise ValueError(f"no output has a vector per token, which `pooling` ({pooling}) needs")
    lengths = mask.sum(axis=1)
    match pooling:
        case "cls":
            return np.asarray(states[:, 0])
        case "last":
            return np.asarray(states[np.arange(len(states)), np.maximum(lengths - 1, 0)])
        case "mean":
            shares = (mask / np.maximum(lengths, 1)[:, None]).astype(np.float32)
            return np.asarray((shares[:, None, :] @ states)[:, 0])


def _to_unit_length(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale rows in place to unit length, which vector stores require and not every exported model returns."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise ValueError("The model gave NaN or infinities.")
    np.divide(vectors, lengths, out=vectors, where=lengths > 0)
    return vectors


def encoder_workload(model: EmbeddingModel, batch_size: int, vocabulary: int) -> Workload:
    """Return the workload for measuring an encoder: growing batches of short texts, then longer texts."""

    def probe(session: ModelSession, units: int) -> None:
        rows = min(batch_size, max(1, units // SHORTEST))
        length = min(model.max_tokens, units // rows)
        ids: list[list[int]] = (np.arange(rows * length) % vocabulary).reshape(rows, length).tolist()
        try:
            shape = encode(session, ids, model.pooling).shape
        except Exception as error:
            raise StartupError(f"The model in {model.folder} does not run as an encoder: {error}") from error
        if shape != (rows, model.dimension):
            raise StartupError(
                f"The model in {model.folder} is not an encoder of {model.dimension} dimensions: {rows} texts gave "
                f"{list(shape)} numbers. Where there is a vector for each token, its manifest must declare `pooling`."
            )

    return Workload(probe, list(doubling(min(SHORTEST, model.max_tokens), batch_size * model.max_tokens)))
