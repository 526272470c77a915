"""Decodes pictures into a model's input, as their senders see them.

That is: turned as EXIF says, the first frame where they move, on white where they are transparent.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from app.errors import AppError, UnprocessableError
from app.vision.letterbox import Letterbox, Size, fit
from app.vision.opening import BROKEN, PictureLimits, open_picture

# The grey bars that YOLO-style detectors are fitted with.
BAR = (114, 114, 114)
WHITE = (255, 255, 255)
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture in the size of a model's input.

    Attributes:
        pixels: uint8 `[height, width, 3]`, RGB, of the size that the model takes.
        letterbox: how it lies in there.
    """

    pixels: NDArray[np.uint8]
    letterbox: Letterbox


def read_picture(content: bytes | str, limits: PictureLimits, into: Size) -> Picture:
    """Decode a PNG, JPEG or WebP picture and fit it into a model's input; blocks, so call it in a thread.

    Args:
        content: the file, as it is or in base64.
        limits: how large it may be.
        into: what the model takes.

    Raises:
        PayloadTooLargeError: the file has too many bytes.
        UnsupportedMediaTypeError: it is of another format.
        UnprocessableError: it has too many pixels, is cut off, broken, or not base64.
    """
    try:
        with open_picture(content, limits) as image:
            return _fit(image, into)
    except AppError:
        raise
    except Exception as error:
        # Decoders that strangers feed raise almost anything.
        raise UnprocessableError(BROKEN) from error


def _fit(image: Image.Image, into: Size) -> Picture:
    if image.format == "PNG":
        # Its EXIF may lie behind the pixels: looking for it would decode them, and lose what is wrong with them.
        image.load()
    orientation = _orientation(image)
    width, height = image.size
    sideways = orientation in SIDEWAYS
    letterbox = fit(Size(height, width) if sideways else Size(width, height), into)
    scaled = letterbox.scaled
    stored = (scaled.height, scaled.width) if sideways else (scaled.width, scaled.height)
    # A JPEG is decoded at a half, a quarter or an eighth where that is still large enough.
    image.draft("RGB", stored)
    small = _on_white(_decoded(image).resize(stored, Image.Resampling.BILINEAR, reducing_gap=3.0))
    upright = small.transpose(TURNS[orientation]) if orientation in TURNS else small
    canvas = Image.new("RGB", (into.width, into.height), BAR)
    canvas.paste(upright, (letterbox.left, letterbox.top))
    return Picture(np.asarray(canvas), letterbox)


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - a picture whose EXIF is broken can still be seen
        return 1
    return found if isinstance(found, int) else 1


def _decoded(image: Image.Image) -> Image.Image:
    """Decode into RGB, or RGBA where parts are transparent: modes that can be scaled."""
    image.load()
    if image.mode.startswith("I"):
        # Sixteen bits of grey: converting would cut the values off instead of scaling them.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    under = Image.new("RGB", image.size, WHITE)
    under.paste(image, mask=image.getchannel("A"))
    return under
