"""Opening untrusted picture files: the size in the header is checked before anything is decoded."""

import binascii
import io
import struct
import warnings
from base64 import b64decode
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from app.errors import PayloadTooLargeError, UnprocessableError, UnsupportedMediaTypeError
from app.vision.letterbox import Size

FORMATS = ("JPEG", "PNG", "WEBP")
JPEG_SIGNATURE, PNG_SIGNATURE = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
BROKEN = "The picture cannot be decoded: it is cut off or broken."
# A progressive JPEG may contain many tiny scans, each as expensive as decoding the complete picture.
MOST_SCANS = 100
SCAN_MARKER = b"\xff\xda"
MILLION = 1_000_000

# Our own limit is checked first, so disable the library's; and silence its warnings about malformed files.
Image.MAX_IMAGE_PIXELS = None
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """Size limits of a picture, as a file and decoded."""

    max_bytes: int
    max_megapixels: int


def open_picture(content: bytes | str, limits: PictureLimits) -> Image.Image:
    """Read the header of a PNG, JPEG or WebP file, given as bytes or base64, without decoding its pixels.

    Raises:
        PayloadTooLargeError: the file has too many bytes.
        UnsupportedMediaTypeError: the file has another format.
        UnprocessableError: the picture has too many pixels or scans, or is broken, or the text is not base64.
    """
    data = decode_base64(content) if isinstance(content, str) else content
    if len(data) > limits.max_bytes:
        raise PayloadTooLargeError(f"A picture may have at most {limits.max_bytes:,} bytes.")
    # Unlike the others, the WebP decoder allocates memory for all pixels when it is opened.
    webp = _webp_size(data)
    if webp is not None:
        _check_size(webp, limits)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        if webp is not None or data.startswith((JPEG_SIGNATURE, PNG_SIGNATURE)):
            raise UnprocessableError(BROKEN) from error
        raise UnsupportedMediaTypeError("A picture must be PNG, JPEG or WebP.") from error
    _check_size(Size(*image.size), limits)
    # Do not use image.format: for a phone's JPEG with an appended preview it is MPO.
    if data.startswith(JPEG_SIGNATURE) and data.count(SCAN_MARKER) > MOST_SCANS:
        raise UnprocessableError(f"A JPEG picture may have at most {MOST_SCANS} scans.")
    return image


def decode_base64(text: str) -> bytes:
    """Decode base64, with or without the prefix of a `data:` URL.

    Raises:
        UnprocessableError: the text is not base64.
    """
    head, comma, tail = text.partition(",")
    payload = tail if comma and head.startswith("data:") and head.endswith(";base64") else text
    try:
        return b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnprocessableError("The picture is not valid base64.") from error


def _check_size(size: Size, limits: PictureLimits) -> None:
    if size.pixels > limits.max_megapixels * MILLION:
        raise UnprocessableError(
            f"A picture may have at most {limits.max_megapixels} megapixels; this one says that it is "
            f"{size.width:,} x {size.height:,} pixels."
        )


def _webp_size(data: bytes) -> Size | None:
    """Return the canvas size in a WebP header, or None if the file is not WebP.

    Raises:
        UnprocessableError: the WebP header is broken.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    try:
        match data[12:16]:
            case b"VP8X":
                width, high_width, height, high_height = struct.unpack_from("<HBHB", data, 24)
                return Size(width + (high_width << 16) + 1, height + (high_height << 16) + 1)
            case b"VP8L":
                [bits] = struct.unpack_from("<I", data, 21)
                return Size((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1)
            case b"VP8 ":
                width, height = struct.unpack_from("<HH", data, 26)
                return Size(width & 0x3FFF, height & 0x3FFF)
    except struct.error:
        pass
    raise UnprocessableError(BROKEN)
