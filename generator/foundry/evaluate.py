"""Judges an encoder beside the teacher, on documents that neither the fit nor its tuning has seen."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr  # type: ignore[import-untyped]

from foundry.corpus import Passage, sentences
from foundry.encoder import Encoder

Floats = NDArray[np.float32]
NEIGHBOURS = 10
PAIRS = 200_000
SEED = 7
FEWEST_WORDS = 5
TEXTS = 2000
PAIRS_PER_TASK = 1000


@dataclass(frozen=True)
class Task:
    """Queries and passages in the same order: the passage of query ``n`` is passage ``n``."""

    name: str
    queries: tuple[str, ...]
    passages: tuple[str, ...]


def sample(passages: Iterable[Passage], size: int) -> list[Passage]:
    """Return at most ``size`` of the passages, drawn evenly with a fixed seed."""
    everything = list(passages)
    chosen = np.random.default_rng(SEED).permutation(len(everything))[:size]
    return [everything[position] for position in sorted(chosen)]


def retrieval_tasks(passages: list[Passage], size: int) -> list[Task]:
    """Build the three retrieval tasks that the passages allow, each of at most ``size`` pairs."""
    written = [passage for passage in passages if passage.source != "wordnet"]
    headed = [p for p in written if len(p.title.split()) > 1 and len(p.text.split()) >= FEWEST_WORDS]
    several = [(sentences(p.text)[0], " ".join(sentences(p.text)[1:])) for p in written if len(sentences(p.text)) > 1]
    rng = np.random.default_rng(SEED)
    several = [several[position] for position in sorted(rng.permutation(len(several))[:size])]
    words = sample((p for p in passages if p.source == "wordnet"), size)
    return [
        _task("heading to its first paragraph", [(p.title, p.text) for p in sample(headed, size)]),
        _task("first sentence to the rest of its paragraph", several),
        _task("word to its dictionary definition", [(p.title, p.text.split("; ")[0]) for p in words]),
    ]


def agreement(ours: Floats, teacher: Floats) -> dict[str, float]:
    """Compare two encoders' vectors of the same texts: rank correlation of cosines and shared nearest neighbours."""
    left, right = np.random.default_rng(SEED).integers(0, len(ours), size=(2, PAIRS))
    left, right = left[left != right], right[left != right]
    correlation = spearmanr((ours[left] * ours[right]).sum(axis=1), (teacher[left] * teacher[right]).sum(axis=1))
    mine, theirs = nearest(ours), nearest(teacher)
    shared = [len(set(a) & set(b)) / NEIGHBOURS for a, b in zip(mine.tolist(), theirs.tolist(), strict=True)]
    return {"spearman": float(correlation.statistic), "overlap@10": float(np.mean(shared))}


def nearest(vectors: Floats) -> NDArray[np.int64]:
    """Return each vector's ten nearest others, ``[vectors, 10]``."""
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -np.inf)
    return np.argpartition(-similarities, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]


def retrieval(encoder: Encoder, task: Task) -> dict[str, float]:
    """Return the share of queries whose passage came first, and the mean reciprocal rank among the first ten."""
    similarities = encoder.encode(task.queries) @ encoder.encode(task.passages).T
    ranks = 1 + (similarities > np.diag(similarities)[:, None]).sum(axis=1)
    reciprocal = np.where(ranks <= NEIGHBOURS, 1 / ranks, 0)
    return {"first hit": float(np.mean(ranks == 1)), "mrr@10": float(reciprocal.mean())}


def _task(name: str, pairs: list[tuple[str, str]]) -> Task:
    return Task(name, tuple(query for query, _ in pairs), tuple(passage for _, passage in pairs))


def measure(encoders: dict[str, Encoder], passages: list[Passage]) -> dict[str, dict[str, float]]:
    """Return every score by row and encoder; the others are compared with the one named ``teacher``."""
    scores: dict[str, dict[str, float]] = {}
    written = [passage for passage in passages if passage.source != "wordnet"]
    texts = {
        "paragraphs": [p.text for p in sample(written, TEXTS)],
        "sentences": [sentences(p.text)[0] for p in sample((p for p in written if sentences(p.text)), TEXTS)],
    }
    for kind, chosen in texts.items():
        distinct = sorted(set(chosen))
        answers = {name: encoder.encode(distinct) for name, encoder in encoders.items()}
        for name, vectors in answers.items():
            for score, value in agreement(vectors, answers["teacher"]).items():
                scores.setdefault(f"{kind}: {score} with the teacher", {})[name] = value
    for task in retrieval_tasks(passages, PAIRS_PER_TASK):
        for name, encoder in encoders.items():
            for score, value in retrieval(encoder, task).items():
                scores.setdefault(f"{task.name} (of {len(task.queries)}): {score}", {})[name] = value
    return scores


def render(scores: dict[str, dict[str, float]]) -> str:
    """Return the scores as a Markdown table, one column for each encoder."""
    names = list(next(iter(scores.values())))
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    lines += [
        f"| {row} | " + " | ".join(f"{values[name]:.2f}" for name in names) + " |" for row, values in scores.items()
    ]
    return "\n".join(lines)
