"""Detection of banned phrases in complete and streamed texts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from app.guardrails.spans import Scan, Span

KIND = "removed"
# Letters and digits of scripts with spaces between words: there, phrases match only at word boundaries.
_SPACED = r"[^\W\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
_STARTS_SPACED = re.compile(_SPACED)


@dataclass(frozen=True, slots=True)
class BannedPhrases:
    """Finds phrases, ignoring case; white space in a phrase matches one white-space character."""

    phrases: Sequence[str]
    _pattern: re.Pattern[str] = field(init=False, repr=False)
    _beginnings: frozenset[str] = field(init=False, repr=False)
    _longest: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Compile the pattern; if several phrases match at a position, the longest wins."""
        folded = sorted({_fold(" ".join(phrase.split())) for phrase in self.phrases}, key=len, reverse=True)
        object.__setattr__(self, "_pattern", re.compile("|".join(map(_whole_words, folded))))
        beginnings = frozenset(phrase[:end] for phrase in folded for end in range(1, len(phrase) + 1))
        object.__setattr__(self, "_beginnings", beginnings)
        object.__setattr__(self, "_longest", max(map(len, folded)))

    def __call__(self, text: str, start: int = 0, *, is_whole: bool = True) -> Scan:
        """Find the phrases in a text, starting at an offset."""
        folded = _fold(text)
        spans: list[Span] = []
        while True:
            settled = len(text) if is_whole else self._open_end(folded, start)
            match = self._pattern.search(folded, start)
            if match is None or match.start() >= settled:
                return Scan(spans, settled)
            spans.append(Span(KIND, *match.span()))
            start = match.end()

    def _open_end(self, folded: str, start: int) -> int:
        """Return the offset at which an incomplete phrase may begin, or the end of the text."""
        for position in range(max(start, len(folded) - self._longest), len(folded)):
            if folded[position:] in self._beginnings:
                return position
        return len(folded)


def _fold(text: str) -> str:
    """Lower the case and replace white space with spaces, without changing the length."""
    lowered = text.lower()
    if len(lowered) != len(text):
        lowered = "".join(small if len(small := character.lower()) == 1 else character for character in text)
    # A sigma has another form at the end of a word, which is unknown while the text still grows.
    return re.sub(r"\s", " ", lowered.replace("ς", "σ"))  # noqa: RUF001 - these are Greek


def _whole_words(phrase: str) -> str:
    before = f"(?<!{_SPACED})" if _STARTS_SPACED.match(phrase) else ""
    after = f"(?!{_SPACED})" if _STARTS_SPACED.match(phrase[-1]) else ""
    return before + re.escape(phrase) + after
