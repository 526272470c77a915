"""The outlines of the shapes that are to be found, and of the clutter that is not."""

import math

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Outline = list[tuple[Points, bool]]

CLASSES = ("circle", "cross", "ring", "square", "star", "triangle")
CLUTTER = ("bar", "ellipse", "arc", "angle", "strokes")
ROUND = 64


def outline(name: str, rng: np.random.Generator) -> Outline:
    """Give the polygons of a shape, about 2 across and around the origin; ``False`` marks a hole in those before it."""
    drawn: Outline = _SHAPES[name](rng)
    return drawn


def _circle(_: np.random.Generator) -> Outline:
    return [(_regular(ROUND), True)]


def _ring(rng: np.random.Generator) -> Outline:
    return [(_regular(ROUND), True), (_regular(ROUND) * rng.uniform(0.45, 0.75), False)]


def _square(_: np.random.Generator) -> Outline:
    return [(_regular(4), True)]


def _triangle(rng: np.random.Generator) -> Outline:
    return [(_regular(3) * [rng.uniform(0.85, 1.15), 1.0], True)]


def _star(rng: np.random.Generator) -> Outline:
    radius = np.where(np.arange(10) % 2 == 0, 1.0, rng.uniform(0.36, 0.5))
    return [(_regular(10) * radius[:, None], True)]


def _cross(rng: np.random.Generator) -> Outline:
    arm = rng.uniform(0.22, 0.36)
    quarter = np.array([[arm, 1.0], [arm, arm], [1.0, arm]])
    corners = [quarter @ np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]]) for a in _QUARTERS]
    return [(np.concatenate(corners), True)]


def _bar(rng: np.random.Generator) -> Outline:
    return [(np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * [1.0, rng.uniform(0.08, 0.4)], True)]


def _ellipse(rng: np.random.Generator) -> Outline:
    return [(_regular(ROUND) * [1.0, rng.uniform(0.25, 0.55)], True)]


def _arc(rng: np.random.Generator) -> Outline:
    part = _regular(ROUND)[: int(rng.integers(ROUND // 4, ROUND // 2))]
    return [(np.concatenate([part, part[::-1] * rng.uniform(0.6, 0.85)]), True)]


def _angle(rng: np.random.Generator) -> Outline:
    width = rng.uniform(0.15, 0.4)
    return [(np.array([[-1, -1], [1, -1], [1, width - 1], [width - 1, width - 1], [width - 1, 1], [-1, 1]]), True)]


def _strokes(rng: np.random.Generator) -> Outline:
    thin = np.array([[-1, -0.05], [1, -0.05], [1, 0.05], [-1, 0.05]])
    return [
        (thin * [rng.uniform(0.3, 1), 1] + [0, rng.uniform(-0.9, 0.9)], True) for _ in range(int(rng.integers(2, 6)))
    ]


def _regular(corners: int) -> Points:
    angles = np.arange(corners) * 2 * math.pi / corners
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


_QUARTERS = (0.0, math.pi / 2, math.pi, 3 * math.pi / 2)
_SHAPES = {
    "circle": _circle,
    "cross": _cross,
    "ring": _ring,
    "square": _square,
    "star": _star,
    "triangle": _triangle,
    "bar": _bar,
    "ellipse": _ellipse,
    "arc": _arc,
    "angle": _angle,
    "strokes": _strokes,
}
