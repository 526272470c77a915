"""Matches of checks in complete and streamed texts, and their redaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Span(NamedTuple):
    """The characters from `start` to `end` of a text, and their kind."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Scan:
    """The matches in a text.

    Attributes:
        spans: in order; they do not overlap.
        settled: the offset before which no later text can change the result.
    """

    spans: Sequence[Span]
    settled: int


class Scanner(Protocol):
    """Finds spans of one kind."""

    def __call__(self, text: str, start: int = 0, *, is_whole: bool = True) -> Scan:
        """Search a text from an offset on; the text before it is only context.

        Args:
            text: the text.
            start: the offset.
            is_whole: whether the text is complete.
        """


def redact(text: str, spans: Sequence[Span], start: int = 0, end: int | None = None) -> str:
    """Return the text between two offsets, with each span replaced by its kind in brackets."""
    pieces: list[str] = []
    for span in spans:
        pieces += (text[start : span.start], f"[{span.kind}]")
        start = span.end
    return "".join((*pieces, text[start:end]))
