"""Run a batch of text pairs through an ONNX cross-encoder."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.errors import StartupError
from app.inference.capacity import Workload, doubling
from app.inference.ports import ModelSession
from app.inference.tensor_types import DTYPES
from app.inference.token_input import IDS, MASK, TYPES
from app.reranking.manifest import CrossEncoderModel
from app.reranking.pairs import Pair

# Tokens of the shortest pair in measurements.
SHORTEST = 16


def score_pairs(session: ModelSession, padding: int, pairs: Sequence[Pair]) -> NDArray[np.float32]:
    """Return one logit per pair; pairs are padded to the longest with the token id `padding`.

    Raises:
        ValueError: the graph's output has another shape.
    """
    shape = (len(pairs), max(1, *(len(pair.ids) for pair in pairs)))
    arrays = {IDS: np.full(shape, padding, np.int64), MASK: np.zeros(shape, np.int64), TYPES: np.zeros(shape, np.int64)}
    for row, pair in enumerate(pairs):
        length = len(pair.ids)
        arrays[IDS][row, :length] = pair.ids
        arrays[MASK][row, :length] = 1
        arrays[TYPES][row, :length] = pair.types
    logits, *_ = session.run({each.name: arrays[each.name].astype(DTYPES[each.datatype]) for each in session.inputs})
    if logits.shape not in {(len(pairs),), (len(pairs), 1)}:
        raise ValueError(f"it gives {list(logits.shape)} for {len(pairs)} pairs, not one logit for each")
    return logits.astype(np.float32).reshape(len(pairs))


def cross_encoder_workload(model: CrossEncoderModel, vocabulary: int) -> Workload:
    """Return the workload for measuring a cross-encoder: growing batches of short pairs, then longer pairs."""
    most, longest = model.manifest.max_batch, model.manifest.max_tokens

    def probe(session: ModelSession, units: int) -> None:
        rows = min(most, max(1, units // SHORTEST))
        length = min(longest, units // rows)
        ids = (np.arange(rows * length) % vocabulary).reshape(rows, length).tolist()
        _check_inputs(session, model)
        try:
            score_pairs(session, 0, [Pair(each, [0] * length) for each in ids])
        except Exception as error:
            raise StartupError(f"The model {model.identity} does not run as a cross-encoder: {error}") from error

    return Workload(probe, list(doubling(min(SHORTEST, longest), most * longest)))


def _check_inputs(session: ModelSession, model: CrossEncoderModel) -> None:
    names = {each.name for each in session.inputs}
    if not {IDS, MASK} <= names <= {IDS, MASK, TYPES}:
        raise StartupError(
            f"The model {model.identity} takes {', '.join(sorted(names))}: a cross-encoder takes {IDS}, {MASK} and, "
            f"if it wants them, {TYPES}."
        )
