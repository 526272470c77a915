"""Stretches of a text that a check objects to, found the same way in a whole text and in one that still grows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Span(NamedTuple):
    """Characters of a text, from `start` to `end`, and what they are."""

    kind: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found in a text.

    Attributes:
        spans: in order; they do not overlap.
        settled: whatever follows the text, nothing before this offset will change.
    """

    spans: Sequence[Span]
    settled: int


class Scanner(Protocol):
    """Looks for one sort of thing."""

    def __call__(self, text: str, start: int = 0, *, is_whole: bool = True) -> Scan:
        """Look through a text from an offset on; what stands before it is context.

        Args:
            text: the text.
            start: where to begin.
            is_whole: that nothing follows the text.
        """


def redact(text: str, spans: Sequence[Span], start: int = 0, end: int | None = None) -> str:
    """Replace spans by their kind in brackets, between two offsets of the text."""
    pieces: list[str] = []
    for span in spans:
        pieces += (text[start : span.start], f"[{span.kind}]")
        start = span.end
    return "".join((*pieces, text[start:end]))
