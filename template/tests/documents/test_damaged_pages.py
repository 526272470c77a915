"""PDFs with pages that cannot be read or have no text."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from app.documents.parsing import parse
from app.documents.reading import Reading, read
from app.errors import DropJobError
from tests.documents.test_reading import MODEL
from tests.pdf import make_pdf

PAGES = ["Installation needs two screws.", "The warranty lasts 24 months.", "Returns go to Leiden."]
# pypdf raises a different kind of exception for each.
FILTERS = [b"NoSuchFilter", b"BrotliDecode", b"JBIG2Decode", b"FlateDecode"]


def with_filter(document: bytes, page: str, name: bytes) -> bytes:
    """Declare a filter for a page's content that does not match it."""
    at = document.rindex(b"<< /Length", 0, document.index(page.encode()))
    return document[:at] + b"<< /Filter /" + name + b" /Length" + document[at + len(b"<< /Length") :]


@pytest.mark.parametrize("name", FILTERS)
def test_a_page_that_cannot_be_read_costs_no_other(tmp_path: Path, name: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(with_filter(make_pdf(PAGES), PAGES[1], name))
    sections = parse(path, "application/pdf", 10, 10_000)
    assert [(each.text.strip(), each.page) for each in sections] == [(PAGES[0], 1), ("", 2), (PAGES[2], 3)]


@pytest.mark.parametrize("name", FILTERS[:2])
def test_where_no_page_can_be_read_the_file_is_damaged(tmp_path: Path, name: bytes) -> None:
    path, document = tmp_path / "file", make_pdf(PAGES)
    for page in PAGES:
        document = with_filter(document, page, name)
    path.write_bytes(document)
    with pytest.raises(DropJobError, match="damaged"):
        parse(path, "application/pdf", 10, 10_000)


async def test_the_log_says_how_many_pages_have_no_text(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(make_pdf([*PAGES, " ", " "]))
    reading = Reading(path, "application/pdf", 10, 10_000, passage_tokens=64, model=MODEL.folder, seconds=60)
    with capture_logs() as logs:
        await read(reading)
    assert [(each["event"], each["pages"]) for each in logs] == [("document.pages_without_text", 2)]
