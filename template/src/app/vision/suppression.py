"""Boxes from a detector's raw output, by non-maximum suppression."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# Two boxes with the same label and a higher intersection over union than this are the same object.
OVERLAP = 0.5
# Suppression takes quadratic time; pictures rarely contain more objects of interest.
MOST_CANDIDATES = 1000


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes, highest confidence first.

    Attributes:
        corners: float32 `[n, 4]`: x1, y1, x2, y2.
        scores: float32 `[n]`, from 0 to 1.
        labels: int64 `[n]`, positions in the model's list of labels.
    """

    corners: Floats
    scores: Floats
    labels: NDArray[np.int64]

    def take(self, rows: NDArray[np.int64]) -> "Boxes":
        """Return the boxes at these indices, in this order."""
        return Boxes(self.corners[rows], self.scores[rows], self.labels[rows])


def read_yolo(output: Floats, threshold: float) -> Boxes:
    """Return the boxes in one picture's output, `[4 + labels, cells]`: each cell's best label from `threshold` up.

    Cells with NaN or infinite coordinates or a NaN score are skipped; scores above 1 become 1.
    """
    labels = output[4:].argmax(axis=0)
    scores = np.minimum(output[4:].max(axis=0), 1)
    usable = (scores >= max(threshold, 0)) & np.isfinite(output[:4]).all(axis=0)
    rows = np.flatnonzero(usable)
    rows = rows[np.argsort(-scores[rows], kind="stable")][:MOST_CANDIDATES]
    centre, half = output[:2, rows].T, np.maximum(output[2:4, rows].T, 0) / 2
    corners = np.concatenate([centre - half, centre + half], axis=1)
    return Boxes(corners.astype(np.float32), scores[rows].astype(np.float32), labels[rows])


def suppress(boxes: Boxes, most: int) -> Boxes:
    """Keep the box with the highest confidence of each group that overlaps and has the same label.

    Args:
        boxes: boxes sorted by confidence, highest first.
        most: the most boxes to keep.
    """
    alive = np.ones(len(boxes.scores), dtype=np.bool_)
    kept: list[int] = []
    for row in range(len(alive)):
        if not alive[row]:
            continue
        kept.append(row)
        if len(kept) == most:
            break
        rest = slice(row + 1, None)
        same = boxes.labels[rest] == boxes.labels[row]
        alive[rest] &= ~(same & (overlaps(boxes.corners[row], boxes.corners[rest]) > OVERLAP))
    return boxes.take(np.array(kept, dtype=np.int64))


def overlaps(box: Floats, others: Floats) -> Floats:
    """Return the intersection over union of a box `[4]` with each of others `[n, 4]`; 0 if both are empty."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = sides.clip(min=0).prod(axis=1)
    area = (box[2:] - box[:2]).prod() + (others[:, 2:] - others[:, :2]).prod(axis=1) - shared
    ratios: Floats = np.divide(shared, area, out=np.zeros_like(shared), where=area > 0)
    return ratios
