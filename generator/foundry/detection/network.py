"""The detector's network, written once: for the library that fits it and for the graph that is shipped."""

from dataclasses import dataclass
from typing import Protocol, TypeVar

from foundry.detection.shapes import CLASSES

Picture = TypeVar("Picture")

# Cells of the three grids in which boxes are looked for, as their size in pixels.
STRIDES = (8, 16, 32)
OUTPUTS = 4 + len(CLASSES)
WIDTH = 48


@dataclass(frozen=True)
class Layer:
    """A convolution; with ``active`` also normalised and cut off at zero, else with a bias."""

    inputs: int
    outputs: int
    kernel: int = 3
    stride: int = 1
    active: bool = True


LAYERS = {
    "down2": Layer(3, 16, stride=2),
    "down4": Layer(16, 32, stride=2),
    "mix4a": Layer(32, 16),
    "mix4b": Layer(16, 32),
    "down8": Layer(32, 48, stride=2),
    "mix8a": Layer(48, 48),
    "mix8b": Layer(48, 48),
    "down16": Layer(48, 64, stride=2),
    "mix16a": Layer(64, 64),
    "mix16b": Layer(64, 64),
    "down32": Layer(64, 64, stride=2),
    **{f"side{stride}": Layer(48 if stride == STRIDES[0] else 64, WIDTH, kernel=1) for stride in STRIDES},
    **{f"{name}{stride}": Layer(WIDTH, WIDTH) for stride in STRIDES for name in ("first", "second")},
    **{f"found{stride}": Layer(WIDTH, OUTPUTS, kernel=1, active=False) for stride in STRIDES},
}


class Operations(Protocol[Picture]):
    """What the network is made of."""

    def convolve(self, name: str, picture: Picture) -> Picture:
        """Apply the layer of this name."""

    def add(self, one: Picture, other: Picture) -> Picture:
        """Add two pictures of one size."""

    def enlarge(self, picture: Picture) -> Picture:
        """Double width and height by repeating."""


def forward(operations: Operations[Picture], picture: Picture) -> list[Picture]:
    """Look at a picture; gives one map for each stride, ``[batch, 4 + classes, rows, columns]``, not yet decoded."""
    convolve = operations.convolve
    at4 = _mix(operations, "mix4", convolve("down4", convolve("down2", picture)))
    at8 = _mix(operations, "mix8", convolve("down8", at4))
    at16 = _mix(operations, "mix16", convolve("down16", at8))
    side32 = convolve("side32", convolve("down32", at16))
    side16 = operations.add(convolve("side16", at16), operations.enlarge(side32))
    side8 = operations.add(convolve("side8", at8), operations.enlarge(side16))
    sides = zip(STRIDES, (side8, side16, side32), strict=True)
    return [
        convolve(f"found{stride}", convolve(f"second{stride}", convolve(f"first{stride}", side)))
        for stride, side in sides
    ]


def _mix(operations: Operations[Picture], name: str, picture: Picture) -> Picture:
    return operations.add(picture, operations.convolve(f"{name}b", operations.convolve(f"{name}a", picture)))
