"""What the teacher says about the corpus, computed once and kept in the cache."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]

from foundry.teacher import DIMENSION, EncodedBatch, Teacher

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Lessons:
    """The teacher's answer to each text, and what each token meant on average inside them.

    ``sentences`` is ``[texts, 384]`` with rows of length 1; ``contexts`` is ``[teacher vocabulary, 384]``, the mean
    last-layer state of each token, zero for tokens that never occurred; ``counts`` says how often each one did.
    """

    texts: tuple[str, ...]
    sentences: Floats
    contexts: Floats
    counts: NDArray[np.float64]


def take_lessons(teacher: Teacher, texts: Sequence[str], cache: Path, name: str) -> Lessons:
    """Return the teacher's answers, from the cache if these very texts were asked before."""
    digest = hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]
    path = cache / f"lessons-{name}-{digest}.npz"
    if not path.exists():
        sentences = np.zeros((len(texts), DIMENSION), dtype=np.float16)
        size = teacher.tokenizer.get_vocab_size()
        total, counts = np.zeros((size, DIMENSION)), np.zeros(size)
        for batch in teacher.batches(texts):
            sentences[batch.positions] = batch.sentences
            _add_contexts(total, counts, batch)
        contexts = (total / np.maximum(counts, 1)[:, None]).astype(np.float32)
        np.savez(path, sentences=sentences, contexts=contexts, counts=counts)
    with np.load(path) as kept:
        answers = kept["sentences"].astype(np.float32)
        answers /= np.linalg.norm(answers, axis=1, keepdims=True)
        return Lessons(tuple(texts), answers, kept["contexts"], kept["counts"])


def _add_contexts(total: NDArray[np.float64], counts: NDArray[np.float64], batch: EncodedBatch) -> None:
    seen = batch.attention_mask.ravel() == 1
    tokens, place = np.unique(batch.input_ids.ravel()[seen], return_inverse=True)
    states = batch.token_states.reshape(-1, DIMENSION)[seen]
    ones = np.ones(len(place), dtype=np.float32)
    matrix = sparse.csr_array((ones, (place, np.arange(len(place)))), shape=(len(tokens), len(place)))
    total[tokens] += matrix @ states
    counts[tokens] += matrix.sum(axis=1)
