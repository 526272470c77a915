"""Splitting text into passages."""

from pathlib import Path

import pytest

from app.documents.chunking import CHARACTERS_PER_TOKEN, chunk
from app.documents.parsing import Section
from app.inference.embedder import load_tokenizer
from app.inference.manifest import load_embedding_model

MODEL = load_embedding_model(Path(__file__).parents[2] / "models" / "embedding")
TOKENIZER = load_tokenizer(MODEL)
WORDS = "The quick brown fox jumps over the lazy dog, again and again. "


@pytest.mark.parametrize("media_type", ["text/plain", "text/markdown"])
@pytest.mark.parametrize("text", [WORDS * 50, "ünïcödé ☃ 漢字 " * 80, "word\n" * 300, "# Title\n\n" + WORDS * 30])
def test_passages_fit_the_model_and_point_into_the_text(text: str, media_type: str) -> None:
    chunks = chunk([Section(text, 0, None)], media_type, TOKENIZER, 64)
    assert len(chunks) > 1
    for piece in chunks:
        assert text[piece.start : piece.end] == piece.text
        assert len(TOKENIZER.encode(piece.text).ids) <= 64


@pytest.mark.parametrize("media_type", ["text/plain", "text/markdown"])
@pytest.mark.parametrize(
    "text", ["The warranty <" + " " * 20_000 + "lasts 24 months.", "x" * 20_000, "Ab " + "-9" * 700 + WORDS + "y" * 533]
)
def test_passages_are_bounded_in_characters_too(text: str, media_type: str) -> None:
    chunks = chunk([Section(text, 0, None)], media_type, TOKENIZER, 16)
    assert "".join("".join(piece.text.split()) for piece in chunks) == "".join(text.split())
    for piece in chunks:
        assert text[piece.start : piece.end] == piece.text
        assert len(piece.text) <= 16 * CHARACTERS_PER_TOKEN
        assert len(TOKENIZER.encode(piece.text).ids) <= 16


def test_no_passage_crosses_a_page() -> None:
    sections = [Section("One page.", 0, 1), Section("Another page.", 11, 2)]
    chunks = chunk(sections, "application/pdf", TOKENIZER, 64)
    assert [(c.text, c.start, c.page) for c in chunks] == [("One page.", 0, 1), ("Another page.", 11, 2)]


def test_no_identifier_is_given_twice() -> None:
    first, second = [chunk([Section(WORDS * 30, 0, None)], "text/plain", TOKENIZER, 64) for _ in range(2)]
    assert [piece.text for piece in first] == [piece.text for piece in second]
    assert len({piece.id for piece in first + second}) == len(first) + len(second)
