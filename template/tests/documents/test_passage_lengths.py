"""No passage is longer than the embedding model's input limit."""

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies
from sqlalchemy import select

from app.bootstrap import Services
from app.documents.chunking import chunk
from app.documents.models import Passage
from app.documents.parsing import Section
from app.documents.reading import MOST_BYTES_IN_THREAD, Reading, read
from app.inference.token_input import open_counter
from tests.http import Person
from tests.inference.encoder_folders import MAX_TOKENS, write_encoder

SPECIAL = 2
WORDS = "The quick brown fox jumps over the lazy dog, again and again. "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose tokenizer truncates and pads texts and adds special tokens."""
    return write_encoder(tmp_path_factory.mktemp("models") / "tiny").folder


@pytest.mark.parametrize("media_type", ["text/plain", "text/markdown"])
@pytest.mark.parametrize("length", [MOST_BYTES_IN_THREAD // 2, MOST_BYTES_IN_THREAD * 2])
async def test_a_limit_of_what_the_model_reads_is_kept_to(
    tmp_path: Path, folder: Path, length: int, media_type: str
) -> None:
    text = (WORDS * length)[:length]
    (tmp_path / "file").write_text(text)
    most = MAX_TOKENS - SPECIAL
    reading = Reading(tmp_path / "file", media_type, 1, len(text), passage_tokens=most, model=folder, seconds=60)
    passages = await read(reading)
    assert "".join("".join(piece.text.split()) for piece in passages) == "".join(text.split())
    counter = open_counter(folder)
    assert max(len(counter.encode(piece.text).ids) for piece in passages) <= MAX_TOKENS


@settings(max_examples=50)
@given(text=strategies.text(max_size=600), media_type=strategies.sampled_from(["text/plain", "text/markdown"]))
def test_no_passage_of_any_text_is_longer(folder: Path, text: str, media_type: str) -> None:
    counter = open_counter(folder)
    for piece in chunk([Section(text, 0, None)], media_type, counter, MAX_TOKENS - SPECIAL):
        assert len(counter.encode(piece.text).ids) <= MAX_TOKENS


async def test_all_of_a_document_is_embedded_however_long_passages_may_be(ada: Person, services: Services) -> None:
    services.documents.settings.passage_tokens = 10_000
    await ada.upload_and_index("long.txt", (WORDS * 300).encode())
    embedder = services.ports.embedder
    counter = open_counter(embedder.model.folder)
    async with services.ports.database.transaction() as session:
        texts = list(await session.scalars(select(Passage.text)))
    assert len(texts) > 1
    assert max(len(counter.encode(text).ids) for text in texts) <= embedder.model.max_tokens
