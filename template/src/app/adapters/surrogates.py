"""Joins surrogate pairs: a provider's JSON may split one between two pieces, and half of one cannot be encoded."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from app.chat.ports import TextDelta, ToolCallDelta

_HALF = re.compile("[\ud800-\udfff]")


def whole(text: str) -> str:
    """Join surrogate pairs in a text; a lone half is replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _HALF.search(text) else text


@dataclass(slots=True)
class Joiner:
    """Joins surrogate pairs across the pieces of an answer."""

    _half: str = ""
    _call: int | None = None

    def join(self, piece: TextDelta | ToolCallDelta) -> Iterator[TextDelta | ToolCallDelta]:
        """Yield what can be passed on; half a pair waits for the next piece."""
        call, said = (None, piece.text) if isinstance(piece, TextDelta) else (piece.index, piece.arguments)
        if self._half and said and call != self._call:
            yield from self.end()
        if said:
            said, self._half, self._call = self._half + said, "", call
        if "\ud800" <= said[-1:] <= "\udbff":
            said, self._half = said[:-1], said[-1]
        yield _saying(piece, whole(said))

    def end(self) -> Iterator[TextDelta | ToolCallDelta]:
        """Yield what is left at the end of the answer."""
        if self._half:
            half, self._half = whole(self._half), ""
            yield TextDelta(half) if self._call is None else ToolCallDelta(self._call, half)


def _saying(piece: TextDelta | ToolCallDelta, said: str) -> TextDelta | ToolCallDelta:
    if isinstance(piece, TextDelta):
        return TextDelta(said)
    return replace(piece, arguments=said, id=piece.id and whole(piece.id), name=piece.name and whole(piece.name))
