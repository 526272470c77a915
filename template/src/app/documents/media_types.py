"""Detection of a file's type from its content; the file name is only a hint."""

import codecs
import re
from enum import StrEnum
from pathlib import PurePath

from app.errors import UnsupportedMediaTypeError

# A reader must find the header within the first kilobyte (ISO 32000, Annex H); writers put it first.
PDF_HEADER = b"%PDF-"
MARKDOWN_SUFFIXES = {".md", ".markdown", ".mdown"}
HTML_SUFFIXES = {".html", ".htm", ".xhtml"}
# Text formats whose text is mostly markup, by their first bytes.
UNREADABLE = {b"{\\rtf": "RTF", b"%!PS": "PostScript"}

# White space, XML declaration, comments and doctype, followed by the root element.
_ROOT = re.compile(rb"(?:\s|<\?xml[^>]*>|<!--(?>.*?-->))*+<(?:!doctype\s++)?(html|svg)\b", re.DOTALL | re.IGNORECASE)


class MediaType(StrEnum):
    """The supported formats."""

    PDF = "application/pdf"
    HTML = "text/html"
    MARKDOWN = "text/markdown"
    TEXT = "text/plain"


def detect_media_type(head: bytes, filename: str) -> MediaType:
    """Detect the type from the first bytes; for text, the suffix of the name can select HTML or Markdown.

    Raises:
        UnsupportedMediaTypeError: it is neither PDF nor UTF-8 text, or it is SVG, RTF or PostScript.
    """
    start = head[:1024]
    is_text = b"\0" not in head and _is_utf8_prefix(head)
    if start.lstrip().startswith(PDF_HEADER) or (PDF_HEADER in start and not is_text):
        return MediaType.PDF
    if not is_text:
        raise UnsupportedMediaTypeError("Send a PDF, or an HTML, Markdown or text file in UTF-8.")
    return _detect_markup(start.removeprefix(codecs.BOM_UTF8), PurePath(filename).suffix.lower())


def _detect_markup(start: bytes, suffix: str) -> MediaType:
    root = _ROOT.match(start)
    kind = "SVG" if root and root[1].lower() == b"svg" else None
    kind = kind or next((name for mark, name in UNREADABLE.items() if start.startswith(mark)), None)
    if kind:
        raise UnsupportedMediaTypeError(f"The text of {kind} files is not read: save the file as PDF, and send that.")
    if root or suffix in HTML_SUFFIXES:
        return MediaType.HTML
    return MediaType.MARKDOWN if suffix in MARKDOWN_SUFFIXES else MediaType.TEXT


def _is_utf8_prefix(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        # The head may end inside a character, which has at most four bytes.
        return error.reason == "unexpected end of data" and len(head) - error.start < 4  # noqa: PLR2004
    return True
