"""Text extraction from files, section by section."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pypdf import PdfReader

from app.documents.html_text import extract_text
from app.documents.media_types import MediaType
from app.errors import DropJobError

SECTION_GAP = "\n\n"


@dataclass(frozen=True, slots=True)
class Section:
    """A section of the document's text: a page, or all of it.

    Attributes:
        start: character offset in the document's text.
        page: counted from 1; None if the format has no pages.
    """

    text: str
    start: int
    page: int | None


def parse(path: Path, media_type: str, max_pages: int, max_characters: int) -> list[Section]:
    """Extract a file's text. Blocks, without a time limit.

    Raises:
        DropJobError: the file is damaged, encrypted, too long, or holds no text.
    """
    sections: list[Section] = []
    for section in _parse_pdf(path, max_pages) if media_type == MediaType.PDF else [_parse_text(path, media_type)]:
        if section.start + len(section.text) > max_characters:
            raise DropJobError(f"The file holds more than {max_characters:,} characters of text; split it.")
        sections.append(section)
    if not any(section.text.strip() for section in sections):
        raise DropJobError("No text was found in the file. Scanned pages need text recognition first.")
    return sections


def _parse_text(path: Path, media_type: str) -> Section:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DropJobError(f"The file is not UTF-8 text: byte {error.start} does not fit.") from error
    return Section(_storable(extract_text(text) if media_type == MediaType.HTML else text), start=0, page=None)


def _parse_pdf(path: Path, max_pages: int) -> Iterator[Section]:
    """Yield a section per page; an unreadable page counts as empty, unless all are unreadable."""
    start = damaged = 0
    with _readable():
        reader = PdfReader(path)
    with reader, _readable():
        if reader.is_encrypted and not reader.decrypt(""):
            raise DropJobError("The PDF is protected by a password.")
        count = len(reader.pages)
        if count > max_pages:
            raise DropJobError(f"The PDF has {count} pages; at most {max_pages} are read.")
        for number in range(1, count + 1):
            try:
                with _readable():
                    text = _storable(reader.pages[number - 1].extract_text())
            except DropJobError:
                damaged += 1
                if damaged == count:
                    raise
                text = ""
            yield Section(text, start, number)
            start += len(text) + len(SECTION_GAP)


@contextmanager
def _readable() -> Iterator[None]:
    """Raise DropJobError for any error in the block, except MemoryError and OSError."""
    try:
        yield
    except (DropJobError, MemoryError, OSError):
        raise
    # For damaged files pypdf raises many kinds of exception: its own, Python's and those of optional libraries.
    except Exception as error:
        raise DropJobError("The PDF is damaged and cannot be read.") from error


def _storable(text: str) -> str:
    """Replace NUL and lone surrogates, which PostgreSQL cannot store, one for one to keep the offsets."""
    return text.replace("\0", " ").encode("utf-8", "replace").decode()
