"""Joining of surrogate pairs that a provider's JSON splits between two pieces; a lone half cannot be encoded."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from app.chat.ports import TextDelta, ToolCallDelta

_HALF = re.compile("[\ud800-\udfff]")


def join_surrogates(text: str) -> str:
    """Join surrogate pairs in a text and replace lone halves."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _HALF.search(text) else text


@dataclass(slots=True)
class SurrogateJoiner:
    """Joins surrogate pairs across the pieces of an answer."""

    _half: str = ""
    _call: int | None = None

    def join(self, piece: TextDelta | ToolCallDelta) -> Iterator[TextDelta | ToolCallDelta]:
        """Yield the piece without a trailing half of a pair, which is held back for the next piece."""
        call, said = (None, piece.text) if isinstance(piece, TextDelta) else (piece.index, piece.arguments)
        if self._half and said and call != self._call:
            yield from self.end()
        if said:
            said, self._half, self._call = self._half + said, "", call
        if "\ud800" <= said[-1:] <= "\udbff":
            said, self._half = said[:-1], said[-1]
        yield _saying(piece, join_surrogates(said))

    def end(self) -> Iterator[TextDelta | ToolCallDelta]:
        """Yield the half that is still held back, replaced."""
        if self._half:
            half, self._half = join_surrogates(self._half), ""
            yield TextDelta(half) if self._call is None else ToolCallDelta(self._call, half)


def _saying(piece: TextDelta | ToolCallDelta, said: str) -> TextDelta | ToolCallDelta:
    if isinstance(piece, TextDelta):
        return TextDelta(said)
    call_id = piece.id and join_surrogates(piece.id)
    return replace(piece, arguments=said, id=call_id, name=piece.name and join_surrogates(piece.name))
