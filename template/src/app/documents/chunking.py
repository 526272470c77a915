"""Splits text into passages small enough to embed, at its natural boundaries."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from semantic_text_splitter import MarkdownSplitter, TextSplitter
from tokenizers import Tokenizer

from app.documents.media_types import MediaType
from app.documents.parsing import Section

# Limits white space, which takes no tokens, and very long words, which may take one; far above any language's average.
CHARACTERS_PER_TOKEN = 8
# The limit for all sources of an answer together.
MOST_CHARACTERS = 24_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage before it is stored; offsets are in characters of the document's text."""

    id: UUID
    text: str
    start: int
    end: int
    page: int | None


def chunk(sections: Sequence[Section], media_type: str, tokenizer: Tokenizer, max_tokens: int) -> list[Chunk]:
    """Split a document into passages of at most `max_tokens`, none across a page break. Blocks.

    The tokenizer must not truncate, or every text would seem to fit. Passages have at most `CHARACTERS_PER_TOKEN`
    characters per token of `max_tokens`, and at most `MOST_CHARACTERS`. Their ids are new each time, so vectors of an
    earlier ingestion cannot be mistaken for theirs.
    """
    kind = MarkdownSplitter if media_type == MediaType.MARKDOWN else TextSplitter
    splitter = kind.from_huggingface_tokenizer(tokenizer, max_tokens)
    most = min(max_tokens * CHARACTERS_PER_TOKEN, MOST_CHARACTERS)
    pieces = [
        (section.start + offset, text, section.page)
        for section in sections
        for offset, text in _cut(section.text, splitter, most)
    ]
    return [Chunk(uuid4(), text, start, start + len(text), page) for start, text, page in pieces]


def _cut(text: str, splitter: MarkdownSplitter | TextSplitter, most: int) -> Iterator[tuple[int, str]]:
    for start, piece in splitter.chunk_indices(text):
        if len(piece) <= most:
            yield start, piece
            continue
        for at in range(start, start + len(piece), most):
            # Splitting again drops white space and counts tokens: parts of a word may have more of them than the word.
            for inner, part in splitter.chunk_indices(text[at : min(at + most, start + len(piece))]):
                yield at + inner, part
