"""Draws pictures of shapes among clutter, and knows where each shape is."""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from foundry.detection.shapes import CLASSES, CLUTTER, Points, outline

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Canvas = NDArray[np.floating[Any]]

SIZE = 192
# Shapes are drawn this much larger and scaled down, so that their edges are as smooth as those of a photograph.
OVERSAMPLING = 2
SMALLEST, LARGEST = 14.0, 120.0
MOST_SHAPES = 8
LEAST_VISIBLE = 0.65
LEAST_CONTRAST = 45.0
PADDING = 114
HALF = 127
# How often a picture has which trait.
SHARE_WITH_BARS, SHARE_CLOUDED, SHARE_BLURRED, SHARE_COMPRESSED = 0.3, 0.5, 0.5, 0.4
SHARE_SHADED, SHARE_ROUGH = 0.4, 0.25
HALF_THE_TIME = 0.5


@dataclass(frozen=True)
class Scene:
    """A picture and what is on it.

    ``pixels`` is RGB, ``[SIZE, SIZE, 3]``; ``boxes`` is float32 ``[shapes, 4]``, left, top, right, bottom in pixels,
    each around the part of the shape that lies inside the picture; ``classes`` holds positions in ``CLASSES``.
    """

    pixels: Pixels
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]


def scenes(seed: int, count: int) -> Iterator[Scene]:
    """Draw ``count`` scenes; each depends on ``seed`` and its own number alone."""
    for number in range(count):
        yield draw_scene(np.random.default_rng([seed, number]))


def draw_scene(rng: np.random.Generator) -> Scene:
    """Draw one scene: a background, clutter and shapes in any order of depth, then blur, noise and compression."""
    canvas, frame = _background(rng), _frame(rng)
    shapes = ["clutter"] * int(rng.integers(0, 7)) + ["shape"] * int(rng.integers(1, MOST_SHAPES + 1))
    rng.shuffle(shapes)
    visible: list[Mask] = []
    sizes: list[int] = []
    boxes: list[list[float]] = []
    classes: list[int] = []
    for kind in shapes:
        label = int(rng.integers(len(CLASSES)))
        name = CLASSES[label] if kind == "shape" else str(rng.choice(CLUTTER))
        whole = _mask(outline(name, rng), rng)
        mask = np.where(frame, whole, np.uint8(0))
        inside = mask > HALF
        # Too little of it inside the picture, or too little of the others left to see: not drawn.
        if inside.sum() < LEAST_VISIBLE * (whole > HALF).sum() or not _leaves(inside, visible, sizes):
            continue
        visible = [other & ~inside for other in visible]
        if kind == "shape":
            visible.append(inside)
            sizes.append(int(inside.sum()))
            boxes.append(_box(mask))
            classes.append(label)
        canvas = _paint(canvas, mask, rng)
    pixels = np.where(frame[..., None], _spoil(canvas, rng), np.uint8(PADDING))
    return Scene(pixels, np.array(boxes, np.float32).reshape(-1, 4), np.array(classes, np.int64))


def _frame(rng: np.random.Generator) -> Mask:
    """Say where the picture is; the rest are the bars that a picture which is not square gets."""
    frame = np.ones((SIZE, SIZE), dtype=np.bool_)
    if rng.random() < SHARE_WITH_BARS:
        bar = int(rng.integers(8, 49))
        frame[:bar] = frame[SIZE - bar :] = False
    return frame if rng.random() < HALF_THE_TIME else frame.T


def _leaves(inside: Mask, visible: list[Mask], sizes: list[int]) -> bool:
    """Say whether enough of the earlier shapes can be seen once this one covers them."""
    if not inside.any():
        return False
    return all((mask & ~inside).sum() >= LEAST_VISIBLE * size for mask, size in zip(visible, sizes, strict=True))


def _mask(polygons: list[tuple[Points, bool]], rng: np.random.Generator) -> Pixels:
    """Place an outline of unit size somewhere, turned and scaled; gives coverage from 0 to 255, ``[SIZE, SIZE]``."""
    size = math.exp(rng.uniform(math.log(SMALLEST), math.log(LARGEST)))
    angle = rng.uniform(0, 2 * math.pi)
    # A little perspective: one axis is squeezed after turning, but never so far that a square is a rectangle.
    squeeze = rng.uniform(0.9, 1.0)
    margin = size * 0.3
    centre = rng.uniform(margin, SIZE - margin, size=2)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    turn = np.array([[1.0, 0.0], [0.0, squeeze]]) @ turn
    image = Image.new("L", (SIZE * OVERSAMPLING, SIZE * OVERSAMPLING))
    draw = ImageDraw.Draw(image)
    for points, filled in polygons:
        placed = (points @ turn.T * size / 2 + centre) * OVERSAMPLING
        draw.polygon([(float(x), float(y)) for x, y in placed], fill=255 if filled else 0)
    return np.asarray(image.reduce(OVERSAMPLING))


def _box(mask: Pixels) -> list[float]:
    """Give the box around what is covered, to a fraction of a pixel."""
    columns, rows = mask.max(axis=0).astype(float) / 255, mask.max(axis=1).astype(float) / 255
    (left, right), (top, bottom) = _ends(columns), _ends(rows)
    return [left, top, right, bottom]


def _ends(coverage: NDArray[np.float64]) -> tuple[float, float]:
    covered = np.flatnonzero(coverage)
    first, last = int(covered[0]), int(covered[-1])
    return first + 1 - float(coverage[first]), last + float(coverage[last])


def _paint(canvas: Canvas, mask: Pixels, rng: np.random.Generator) -> Canvas:
    """Lay a shape over the canvas in a colour that stands out from what it covers."""
    inside = mask > 0
    below = canvas[inside].mean(axis=0) if inside.any() else canvas.mean(axis=(0, 1))
    colour = rng.uniform(0, 255, size=3)
    while np.abs(colour - below).max() < LEAST_CONTRAST:
        colour = rng.uniform(0, 255, size=3)
    paint: Canvas = np.broadcast_to(colour, canvas.shape).astype(np.float32)
    if rng.random() < SHARE_SHADED:
        paint = paint + _ramp(rng)[..., None] * rng.uniform(-35, 35, size=3)
    if rng.random() < SHARE_ROUGH:
        paint = paint + rng.normal(0, rng.uniform(4, 18), size=(SIZE, SIZE, 1))
    alpha = mask[..., None].astype(np.float32) / 255
    return (canvas * (1 - alpha) + np.clip(paint, 0, 255) * alpha).astype(np.float32)


def _ramp(rng: np.random.Generator) -> NDArray[np.float64]:
    """Give a slope across the picture in any direction, from -1 to 1."""
    angle = rng.uniform(0, 2 * math.pi)
    along = np.linspace(-1, 1, SIZE)
    slope: NDArray[np.float64] = along[None, :] * math.cos(angle) + along[:, None] * math.sin(angle)
    return slope


def _background(rng: np.random.Generator) -> Canvas:
    canvas: Canvas = np.broadcast_to(rng.uniform(0, 255, size=3), (SIZE, SIZE, 3)).astype(np.float32)
    canvas = canvas + _ramp(rng)[..., None] * rng.uniform(-60, 60, size=3)
    if rng.random() < SHARE_CLOUDED:
        coarse = rng.uniform(0, 255, size=(int(rng.integers(3, 13)),) * 2).astype(np.uint8)
        clouds = np.asarray(Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC), np.float32) - 127
        canvas = canvas + clouds[..., None] * rng.uniform(-0.3, 0.3, size=3)
    image = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(0, 6))):
        ends = [(float(x), float(y)) for x, y in rng.uniform(0, SIZE, size=(2, 2))]
        red, green, blue = (int(value) for value in rng.integers(0, 256, size=3))
        draw.line(ends, fill=(red, green, blue), width=int(rng.integers(1, 4)))
    return np.asarray(image, np.float32)


def _spoil(canvas: Canvas, rng: np.random.Generator) -> Pixels:
    """Do to the picture what cameras and files do."""
    image = Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))
    if rng.random() < SHARE_BLURRED:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.4)))
    noisy = np.asarray(image, np.float32) + rng.normal(0, rng.uniform(0, 14), size=(SIZE, SIZE, 3))
    image = Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
    if rng.random() < SHARE_COMPRESSED:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=int(rng.integers(35, 95)))
        image = Image.open(file)
    return np.asarray(image.convert("RGB"))
