"""Letterboxing: scaling a picture into a model's input, and mapping boxes back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """How many there are."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Where a picture lies in the model's input: scaled, not distorted, in the middle between bars.

    Attributes:
        picture: size of the original.
        scaled: its size in the input.
        left: width of the bar before it.
        top: height of the bar above it.
    """

    picture: Size
    scaled: Size
    left: int
    top: int

    def to_picture(self, boxes: Floats) -> Floats:
        """Map boxes `[n, 4]` (x1, y1, x2, y2) from the input to the original, cut off at its edges."""
        across, down = self.picture.width / self.scaled.width, self.picture.height / self.scaled.height
        mapped = (boxes - np.array([self.left, self.top] * 2)) * np.array([across, down] * 2)
        edges = np.array([self.picture.width, self.picture.height] * 2)
        inside: Floats = np.clip(mapped, 0, edges).astype(np.float32)
        return inside


def fit(picture: Size, into: Size) -> Letterbox:
    """Scale a picture as far as it fits; a side never becomes less than a pixel."""
    scale = min(into.width / picture.width, into.height / picture.height)
    scaled = Size(max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return Letterbox(picture, scaled, (into.width - scaled.width) // 2, (into.height - scaled.height) // 2)
