"""Fits one vector per vocabulary entry so that their sum points where the teacher's sentence embedding points."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]
from tokenizers import Tokenizer

from foundry.lessons import Lessons
from foundry.teacher import EncodedBatch, Teacher
from foundry.vocabulary import Vocabulary

Floats = NDArray[np.float32]
CLS, SEP = 101, 102
ROWS = 1024
SMOOTHING = 1e-3
ADAM_MEAN, ADAM_SQUARE, ADAM_EPSILON = 0.9, 0.99, 1e-8


@dataclass(frozen=True)
class Recipe:
    """What was chosen on the tuning documents.

    ``trust`` is how many occurrences weigh as much as a token's meaning in isolation; ``neighbours`` is the weight of
    the loss that compares similarities inside a batch, at ``temperature``; ``kept`` is the share
    of the start in the result, which costs little agreement and finds more passages.
    """

    dimension: int = 160
    trust: float = 3.0
    epochs: int = 4
    batch: int = 2048
    rate: float = 0.015
    neighbours: float = 2.0
    temperature: float = 0.05
    kept: float = 0.2
    seed: int = 20261120


def isolated_meanings(teacher: Teacher, vocabulary: Vocabulary) -> Floats:
    """Return the teacher's last-layer state of each entry standing alone, ``[entries, 384]``."""
    rows = [[CLS, int(number), SEP] for number in vocabulary.teacher_ids]
    batches: list[EncodedBatch] = [
        teacher.run(np.arange(len(part)), part) for part in (rows[at : at + ROWS] for at in range(0, len(rows), ROWS))
    ]
    return np.concatenate([batch.token_states[:, 1, :] for batch in batches])


def components(sentences: Floats, dimension: int) -> Floats:
    """Return the leading directions of the teacher's space, ``[384, dimension]``, orthonormal and uncentred."""
    _, vectors = np.linalg.eigh(sentences.T.astype(np.float64) @ sentences)
    leading = vectors[:, ::-1][:, :dimension]
    signs = np.sign(leading[np.abs(leading).argmax(axis=0), np.arange(dimension)])
    return np.asarray(leading * signs, dtype=np.float32)


def starting_table(isolated: Floats, lessons: Lessons, vocabulary: Vocabulary, recipe: Recipe) -> Floats:
    """Return the unfitted student: average meanings in context, shrunk to isolation, common words made light.

    Scaled to a mean square of 1, which is what the learning rate is meant for.
    """
    counts = lessons.counts[vocabulary.teacher_ids][:, None]
    contexts = lessons.contexts[vocabulary.teacher_ids]
    meanings = (counts * contexts + recipe.trust * isolated) / (counts + recipe.trust)
    share = counts / max(counts.sum(), 1)
    weights = SMOOTHING / (SMOOTHING + share)
    table: Floats = (meanings @ components(lessons.sentences, recipe.dimension)) * weights
    return np.asarray(table / np.sqrt(np.mean(table**2)), dtype=np.float32)


def bags(texts: Sequence[str], tokenizer: Tokenizer, size: int) -> sparse.csr_array:
    """Return how often each entry occurs in each text, ``[texts, size]``."""
    rows = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    ids = np.concatenate([np.array(row, dtype=np.int64) for row in rows])
    matrix = sparse.csr_array((np.ones(len(ids), dtype=np.float32), ids, starts), shape=(len(rows), size))
    matrix.sum_duplicates()
    return matrix


def fit(start: Floats, texts: sparse.csr_array, sentences: Floats, recipe: Recipe) -> Floats:
    """Return the fitted table after ``recipe.epochs`` passes over the texts; deterministic for a seed."""
    order = np.random.default_rng(recipe.seed)
    leading = components(sentences, recipe.dimension)
    table, mean, square = start.copy(), np.zeros_like(start), np.zeros_like(start)
    per_epoch = texts.shape[0] // recipe.batch
    for step in range(recipe.epochs * per_epoch):
        if step % per_epoch == 0:
            shuffled = order.permutation(texts.shape[0])
        chosen = shuffled[(step % per_epoch) * recipe.batch :][: recipe.batch]
        part = texts[chosen]
        used = np.unique(part.indices)
        gradient = part[:, used].T @ _gradient(part[:, used] @ table[used], sentences[chosen], leading, recipe)
        mean[used] += (1 - ADAM_MEAN) * (gradient - mean[used])
        square[used] += (1 - ADAM_SQUARE) * (gradient**2 - square[used])
        rate = recipe.rate * (1 - step / (recipe.epochs * per_epoch))
        table[used] -= rate * mean[used] / (np.sqrt(square[used]) + ADAM_EPSILON)
    return recipe.kept * start + (1 - recipe.kept) * table


def _gradient(sums: Floats, sentences: Floats, leading: Floats, recipe: Recipe) -> Floats:
    lengths = np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-6)
    unit = sums / lengths
    target = sentences @ leading
    target /= np.linalg.norm(target, axis=1, keepdims=True)
    ours = _neighbour_shares(unit @ unit.T, recipe.temperature)
    theirs = _neighbour_shares(sentences @ sentences.T, recipe.temperature)
    pull = (ours - theirs) * (recipe.neighbours)
    by_unit = (pull + pull.T) @ unit - target
    across: Floats = (by_unit - unit * (unit * by_unit).sum(axis=1, keepdims=True)) / lengths
    return across


def _neighbour_shares(similarities: Floats, temperature: float) -> Floats:
    np.fill_diagonal(similarities, -np.inf)
    shares = np.exp((similarities - similarities.max(axis=1, keepdims=True)) / temperature)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float32)
