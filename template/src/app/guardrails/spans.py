"""Spans of a text that a check matches, found alike in complete and streamed texts."""

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
        """Look through a text from an offset on; what stands before it is context.

        Args:
            text: the text.
            start: where to begin.
            is_whole: that nothing follows the text.
        """


def redact(text: str, spans: Sequence[Span], start: int = 0, end: int | None = None) -> str:
    """Replace spans between two offsets of the text by their kind in brackets."""
    pieces: list[str] = []
    for span in spans:
        pieces += (text[start : span.start], f"[{span.kind}]")
        start = span.end
    return "".join((*pieces, text[start:end]))
