"""Pictures for tests: valid ones, and files that lie about their size."""

import io
import struct
import zlib
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

Box = tuple[float, float, float, float]

SIZE = (640, 400)
HUGE = 50_000


@dataclass(frozen=True)
class Drawn:
    """A picture and the positions of its shapes."""

    image: Image.Image
    shapes: dict[str, Box]


def shapes() -> Drawn:
    """Draw a circle, a square and a triangle, far apart."""
    image = Image.new("RGB", SIZE, (235, 230, 220))
    draw = ImageDraw.Draw(image)
    where: dict[str, Box] = {
        "circle": (60, 50, 200, 190),
        "square": (400, 60, 520, 180),
        "triangle": (240, 220, 400, 360),
    }
    draw.ellipse(where["circle"], fill=(200, 40, 40))
    draw.rectangle(where["square"], fill=(30, 60, 190))
    draw.polygon([(240, 360), (400, 360), (320, 220)], fill=(20, 140, 60))
    return Drawn(image, where)


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:  # noqa: ANN401 - whatever Pillow takes
    """Encode a picture."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def base64(content: bytes) -> str:
    """Encode a file as base64."""
    return b64encode(content).decode()


def huge_png() -> bytes:
    """Return a small PNG whose header says 50,000 x 50,000 pixels."""
    header = struct.pack(">IIBBBBB", HUGE, HUGE, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def huge_jpeg() -> bytes:
    """Return a small JPEG whose header says 50,000 x 50,000 pixels."""
    content = bytearray(encode(Image.new("RGB", (8, 8)), "JPEG"))
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", HUGE, HUGE)
    return bytes(content)


def huge_webp() -> bytes:
    """Return a small WebP with a canvas of 16,383 x 16,383 pixels, the largest that the decoder accepts."""
    content = bytearray(encode(Image.new("RGBA", (8, 8), (1, 2, 3, 4)), "WEBP", lossless=True))
    at = content.index(b"VP8L") + 9
    [bits] = struct.unpack("<I", content[at : at + 4])
    content[at : at + 4] = struct.pack("<I", (bits >> 28 << 28) | 16_382 << 14 | 16_382)
    return bytes(content)


def tiny_huge_webp() -> bytes:
    """Return a WebP of 26 bytes that says 16,384 x 16,384 pixels."""
    data = b"\x2f" + struct.pack("<I", 16_383 | 16_383 << 14) + b"\x6b"
    return b"RIFF" + struct.pack("<I", 18) + b"WEBPVP8L" + struct.pack("<I", len(data)) + data


def noise(side: int, seed: int = 0) -> Image.Image:
    """Return a picture of incompressible noise."""
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


def overlap(one: Box, other: Box) -> float:
    """Return the intersection over union."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    return shared / (_area(one) + _area(other) - shared)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
