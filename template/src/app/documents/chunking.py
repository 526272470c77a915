"""Text to passages: pieces small enough to embed, cut where the text itself pauses."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID, uuid5

from semantic_text_splitter import MarkdownSplitter, TextSplitter
from tokenizers import Tokenizer

from app.documents.media_types import MediaType
from app.documents.parsing import Section


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage before it is stored; the offsets count characters of the document's text."""

    id: UUID
    text: str
    start: int
    end: int
    page: int | None


def chunk(
    document_id: UUID, sections: Sequence[Section], media_type: str, tokenizer: Tokenizer, max_tokens: int
) -> list[Chunk]:
    """Cut a document into passages of at most `max_tokens`, none across a page break; blocks.

    The identifiers depend on nothing but the document and the order, so that a repeated ingestion
    writes the same passages again instead of adding others.
    """
    kind = MarkdownSplitter if media_type == MediaType.MARKDOWN else TextSplitter
    splitter = kind.from_huggingface_tokenizer(tokenizer, max_tokens)
    pieces = [
        (section.start + offset, text, section.page)
        for section in sections
        for offset, text in splitter.chunk_indices(section.text)
    ]
    return [
        Chunk(uuid5(document_id, str(number)), text, start, start + len(text), page)
        for number, (start, text, page) in enumerate(pieces)
    ]
