"""Decoding pictures into a model's input.

Pictures are rotated according to EXIF; of animations the first frame is used; transparency becomes white.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from app.errors import AppError, UnprocessableError
from app.vision.letterbox import Letterbox, Size, fit
from app.vision.opening import BROKEN, PictureLimits, open_picture

# The grey of the bars that YOLO-style detectors are trained with.
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
    """A picture decoded into the size of a model's input.

    Attributes:
        pixels: uint8 `[height, width, 3]`, RGB, of the model's input size.
        letterbox: position of the picture in it.
    """

    pixels: NDArray[np.uint8]
    letterbox: Letterbox


def read_picture(content: bytes | str, limits: PictureLimits, into: Size) -> Picture:
    """Decode a PNG, JPEG or WebP picture and fit it into a model's input; blocks, so call it in a thread.

    Args:
        content: the file, as bytes or base64.
        limits: size limits.
        into: size of the model's input.

    Raises:
        PayloadTooLargeError: the file has too many bytes.
        UnsupportedMediaTypeError: the file has another format.
        UnprocessableError: the picture has too many pixels or scans, or is broken, or the text is not base64.
    """
    try:
        with open_picture(content, limits) as image:
            return _fit(image, into)
    except AppError:
        raise
    except Exception as error:
        # Decoders raise almost any exception on malformed input.
        raise UnprocessableError(BROKEN) from error


def _fit(image: Image.Image, into: Size) -> Picture:
    if image.format == "PNG":
        # EXIF may follow the pixels: reading it decodes them and hides their errors, so decode first.
        image.load()
    orientation = _orientation(image)
    width, height = image.size
    sideways = orientation in SIDEWAYS
    letterbox = fit(Size(height, width) if sideways else Size(width, height), into)
    scaled = letterbox.scaled
    stored = (scaled.height, scaled.width) if sideways else (scaled.width, scaled.height)
    # Decode a JPEG at a half, a quarter or an eighth of its size if that is still large enough.
    image.draft("RGB", stored)
    small = _on_white(_decoded(image).resize(stored, Image.Resampling.BILINEAR, reducing_gap=3.0))
    upright = small.transpose(TURNS[orientation]) if orientation in TURNS else small
    canvas = Image.new("RGB", (into.width, into.height), BAR)
    canvas.paste(upright, (letterbox.left, letterbox.top))
    return Picture(np.asarray(canvas), letterbox)


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - a picture with broken EXIF is still usable
        return 1
    return found if isinstance(found, int) else 1


def _decoded(image: Image.Image) -> Image.Image:
    """Decode to RGB, or RGBA if there is transparency: modes that can be scaled."""
    image.load()
    if image.mode.startswith("I"):
        # 16-bit greyscale: convert() would clip the values instead of scaling them.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    under = Image.new("RGB", image.size, WHITE)
    under.paste(image, mask=image.getchannel("A"))
    return under
