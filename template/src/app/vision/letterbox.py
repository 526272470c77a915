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
        """Number of pixels."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class Letterbox:
    """Position of a picture in the model's input: scaled without distortion and centred between bars.

    Attributes:
        picture: size of the original.
        scaled: size in the model's input.
        left: width of the left bar.
        top: height of the top bar.
    """

    picture: Size
    scaled: Size
    left: int
    top: int

    def to_picture(self, boxes: Floats) -> Floats:
        """Map boxes `[n, 4]` (x1, y1, x2, y2) from the model's input to the original, clipped to its edges."""
        across, down = self.picture.width / self.scaled.width, self.picture.height / self.scaled.height
        mapped = (boxes - np.array([self.left, self.top] * 2)) * np.array([across, down] * 2)
        edges = np.array([self.picture.width, self.picture.height] * 2)
        inside: Floats = np.clip(mapped, 0, edges).astype(np.float32)
        return inside


def fit(picture: Size, into: Size) -> Letterbox:
    """Return the letterbox that scales a picture up or down to fit; sides are at least one pixel."""
    scale = min(into.width / picture.width, into.height / picture.height)
    scaled = Size(max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return Letterbox(picture, scaled, (into.width - scaled.width) // 2, (into.height - scaled.height) // 2)
