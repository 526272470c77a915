"""Average precision of a detector file on scenes that it was not fitted to, computed as COCO does."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
from numpy.typing import NDArray

from foundry.detection.scenes import Scene
from foundry.detection.shapes import CLASSES

Floats = NDArray[np.float32]

OVERLAPS = np.arange(0.5, 1.0, 0.05)
RECALLS = np.linspace(0, 1, 101)
LOWEST_SCORE = 0.001
SUPPRESSED_ABOVE = 0.5
MOST = 100
BATCH = 50


@dataclass(frozen=True)
class Precision:
    """Average precision of each class, ``[classes, overlaps]``."""

    values: NDArray[np.float64]

    @property
    def at_half(self) -> float:
        """Mean over the classes at an overlap of 0.5."""
        return float(self.values[:, 0].mean())

    @property
    def over_all(self) -> float:
        """Mean over the classes and the overlaps 0.5, 0.55 … 0.95."""
        return float(self.values.mean())


def measure(model: Path, scenes: Iterable[Scene]) -> Precision:
    """Run the file over the scenes and compare what it finds with what is there."""
    known = list(scenes)
    found = list(_detect(model, known))
    values = [
        [_average_precision(known, found, label, overlap) for overlap in OVERLAPS] for label in range(len(CLASSES))
    ]
    return Precision(np.array(values))


def render(precision: Precision) -> str:
    """Return the measures as a Markdown table."""
    rows = [(name, values[0], values.mean()) for name, values in zip(CLASSES, precision.values, strict=True)]
    rows.append(("**all**", precision.at_half, precision.over_all))
    lines = ["| class | AP at 0.5 | AP at 0.5 to 0.95 |", "|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {half:.3f} | {every:.3f} |" for name, half, every in rows])


def _detect(model: Path, scenes: list[Scene]) -> Iterable[Floats]:
    """Give what is found on each scene, ``[found, 6]``: left, top, right, bottom, score, class."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    for start in range(0, len(scenes), BATCH):
        pictures = np.stack([scene.pixels for scene in scenes[start : start + BATCH]])
        batch = pictures.transpose(0, 3, 1, 2).astype(np.float32) / 255
        for output in session.run(None, {"images": batch})[0]:
            yield _suppress(output)


def _suppress(output: Floats) -> Floats:
    centre, half, scores = output[:2].T, output[2:4].T / 2, output[4:]
    boxes = np.concatenate([centre - half, centre + half], axis=1)
    # As in the service, a cell names its best class alone.
    labels, best_scores = scores.argmax(axis=0), scores.max(axis=0)
    kept: list[int] = []
    for cell in np.argsort(-best_scores):
        if best_scores[cell] < LOWEST_SCORE or len(kept) == MOST:
            break
        same = [other for other in kept if labels[other] == labels[cell]]
        if not same or overlaps(boxes[cell], boxes[same]).max() <= SUPPRESSED_ABOVE:
            kept.append(int(cell))
    return np.column_stack([boxes[kept], best_scores[kept], labels[kept]]).astype(np.float32)


def overlaps(box: Floats, others: Floats) -> Floats:
    """Return the intersection over union of a box with each of ``others``, ``[n, 4]``."""
    size = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    both = size.clip(min=0).prod(axis=1)
    area = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1)
    shared: Floats = both / (area - both)
    return shared


def _average_precision(scenes: list[Scene], found: list[Floats], label: int, overlap: float) -> float:
    """Match greedily, best score first, and average the precision over 101 recalls."""
    there = [scene.boxes[scene.classes == label] for scene in scenes]
    ranked = sorted(
        ((row[4], number, row[:4]) for number, rows in enumerate(found) for row in rows[rows[:, 5] == label]),
        key=lambda each: -each[0],
    )
    free = [np.ones(len(boxes), dtype=np.bool_) for boxes in there]
    hits = np.zeros(len(ranked))
    for position, (_, number, box) in enumerate(ranked):
        shared = np.where(free[number], overlaps(box, there[number]), -1) if len(there[number]) else np.zeros(0)
        if len(shared) and shared.max() >= overlap:
            free[number][int(shared.argmax())] = False
            hits[position] = 1
    recall = hits.cumsum() / max(1, sum(len(boxes) for boxes in there))
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS)
    return float(np.append(precision, 0)[places].mean())
