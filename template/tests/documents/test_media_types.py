"""Detecting the media type of a file by its beginning and its name."""

import time

import pytest

from app.documents.media_types import MediaType, detect_media_type
from app.errors import UnsupportedMediaTypeError


@pytest.mark.parametrize(
    "head",
    [
        b"<!doctype html><p>Text",
        b"\xef\xbb\xbf \n<HTML lang=en>",
        b'<?xml version="1.0"?>\n<!-- a -- b -->\n<!DOCTYPE html PUBLIC "x">',
        b"<!-- <svg> --><html>",
    ],
)
def test_pages_are_told_by_their_content(head: bytes) -> None:
    assert detect_media_type(head, "notes.txt") == MediaType.HTML


@pytest.mark.parametrize(
    ("head", "name", "kind"),
    [
        (b"<p>A part of a page.", "part.HTM", MediaType.HTML),
        (b"<!-- note -->\n# Title", "notes.md", MediaType.MARKDOWN),
        (b"<details><html></details>", "notes.md", MediaType.MARKDOWN),
        (b"Write <html> first.", "notes.txt", MediaType.TEXT),
        (b"<htmlish>", "notes.txt", MediaType.TEXT),
    ],
)
def test_the_name_tells_what_the_content_leaves_open(head: bytes, name: str, kind: MediaType) -> None:
    assert detect_media_type(head, name) == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (rb"{\rtf1\ansi The warranty lasts 24 months.}", "RTF"),
        (b"%!PS-Adobe-3.0\n(The warranty) show", "PostScript"),
        (b'<?xml version="1.0"?><!-- drawn --><svg xmlns="http://www.w3.org/2000/svg">', "SVG"),
        (b'<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN"><svg>', "SVG"),
    ],
)
def test_text_whose_markup_cannot_be_read_is_refused_with_the_remedy(head: bytes, kind: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match=f"{kind} files is not read: save the file as PDF"):
        detect_media_type(head, "file.txt")


@pytest.mark.parametrize("piece", [b"<!--", b"<!-- -->", b"<?xml", b" ", b"<!doctype "])
def test_no_beginning_takes_long_to_tell(piece: bytes) -> None:
    began = time.perf_counter()
    detect_media_type(piece * (1 << 20), "file.txt")
    assert time.perf_counter() - began < 5
