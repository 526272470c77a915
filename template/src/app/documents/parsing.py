"""Files to text: what a document says, section by section."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from app.documents.media_types import MediaType
from app.errors import DropJobError

SECTION_GAP = "\n\n"


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of the document's text.

    Attributes:
        start: character offset in the document's text.
        page: counted from 1; None where the format has no pages.
    """

    text: str
    start: int
    page: int | None


def parse(path: Path, media_type: str, max_pages: int, max_characters: int) -> list[Section]:
    """Extract a file's text; blocks, and may take as long as it pleases.

    Raises:
        DropJobError: the file is damaged, encrypted, too long, or holds no text.
    """
    pages = _parse_pdf(path, max_pages) if media_type == MediaType.PDF else _parse_text(path)
    sections: list[Section] = []
    for section in pages:
        if section.start + len(section.text) > max_characters:
            raise DropJobError(f"The file holds more than {max_characters:,} characters of text; split it.")
        sections.append(section)
    if not any(section.text.strip() for section in sections):
        raise DropJobError("No text was found in the file. Scanned pages need text recognition first.")
    return sections


def _parse_text(path: Path) -> Iterator[Section]:
    try:
        yield Section(_storable(path.read_bytes().decode("utf-8-sig")), start=0, page=None)
    except UnicodeDecodeError as error:
        raise DropJobError(f"The file is not UTF-8 text: byte {error.start} does not fit.") from error


def _parse_pdf(path: Path, max_pages: int) -> Iterator[Section]:
    start = 0
    try:
        with PdfReader(path) as reader:
            if reader.is_encrypted and not reader.decrypt(""):
                raise DropJobError("The PDF is protected by a password.")
            if len(reader.pages) > max_pages:
                raise DropJobError(f"The PDF has {len(reader.pages)} pages; at most {max_pages} are read.")
            for number, page in enumerate(reader.pages, start=1):
                text = _storable(page.extract_text())
                yield Section(text, start, number)
                start += len(text) + len(SECTION_GAP)
    # pypdf meets damaged files with many kinds of exception, its own and Python's.
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise DropJobError("The PDF is damaged and cannot be read.") from error


def _storable(text: str) -> str:
    """PostgreSQL stores neither NUL nor lone surrogates; both keep their place so that offsets hold."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()
