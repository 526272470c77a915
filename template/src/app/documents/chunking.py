"""Text to passages: pieces small enough to embed, cut where the text itself pauses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID, uuid4

from semantic_text_splitter import MarkdownSplitter, TextSplitter
from tokenizers import Tokenizer

from app.documents.media_types import MediaType
from app.documents.parsing import Section

# White space costs no tokens, and a word of any length may cost one: far more than languages have on average.
CHARACTERS_PER_TOKEN = 8
# All sources of an answer together have no more.
MOST_CHARACTERS = 24_000


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage before it is stored; the offsets count characters of the document's text."""

    id: UUID
    text: str
    start: int
    end: int
    page: int | None


def chunk(sections: Sequence[Section], media_type: str, tokenizer: Tokenizer, max_tokens: int) -> list[Chunk]:
    """Cut a document into passages of at most `max_tokens`, none across a page break; blocks.

    The tokenizer must count all tokens of a text: to one that cuts texts at a limit, every text seems to keep to it.
    None has more than `CHARACTERS_PER_TOKEN` times as many characters, nor more than `MOST_CHARACTERS`.
    The identifiers are new each time, so that no vector of an earlier ingestion can pass for one of these.
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
            # White space goes; and what is left of a word that was unknown for its length may have more tokens.
            for inner, part in splitter.chunk_indices(text[at : min(at + most, start + len(piece))]):
                yield at + inner, part
