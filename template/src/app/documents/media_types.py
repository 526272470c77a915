"""Telling a file's type by its content; names and declared types are only hints."""

from enum import StrEnum
from pathlib import PurePath

from app.errors import UnsupportedMediaTypeError

# A reader must find the header within the first kilobyte (ISO 32000, Annex H); writers put it first.
PDF_HEADER = b"%PDF-"
MARKDOWN_SUFFIXES = {".md", ".markdown", ".mdown"}


class MediaType(StrEnum):
    """The formats that can be read."""

    PDF = "application/pdf"
    MARKDOWN = "text/markdown"
    TEXT = "text/plain"


def detect_media_type(head: bytes, filename: str) -> MediaType:
    """Tell the type from the first bytes; the name only parts Markdown from plain text.

    Raises:
        UnsupportedMediaTypeError: it is neither PDF nor UTF-8 text.
    """
    start = head[:1024]
    is_text = b"\0" not in head and _is_utf8_prefix(head)
    if start.lstrip().startswith(PDF_HEADER) or (PDF_HEADER in start and not is_text):
        return MediaType.PDF
    if not is_text:
        raise UnsupportedMediaTypeError("Send a PDF, Markdown or UTF-8 text file.")
    return MediaType.MARKDOWN if PurePath(filename).suffix.lower() in MARKDOWN_SUFFIXES else MediaType.TEXT


def _is_utf8_prefix(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # The cut may fall inside the last character, which has at most four bytes.
        return error.reason == "unexpected end of data" and len(head) - error.start < 4  # noqa: PLR2004
    return True
