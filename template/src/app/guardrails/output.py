"""Checks on a model's output while it is streamed."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.errors import GuardrailRefusedError
from app.guardrails.settings import Action
from app.guardrails.spans import Scanner, redact
from app.guardrails.triggers import Trigger, report


@dataclass(slots=True)
class OutputCheck:
    """One check of one answer: holds back the end of the text while it may still become a match.

    Attributes:
        name: the check's name in settings.
        scan: finds what the check objects to; never holds back more than a few hundred characters.
        action: what becomes of such a text: `redact`, `refuse` or `review`.
    """

    name: str
    scan: Scanner
    action: Action
    _held: str = ""
    _is_context: bool = False  # whether the first character held is there to be looked back at, and was passed on

    def feed(self, text: str, *, is_whole: bool = False) -> str:
        """Take the next piece and give what may be passed on; with the last piece, give everything.

        Raises:
            GuardrailRefusedError: the text must not be passed on.
        """
        self._held += text
        start = int(self._is_context)
        found = self.scan(self._held, start, is_whole=is_whole)
        if found.spans:
            report(Trigger(self.name, "output", self.action, len(found.spans)))
            if self.action != "redact":
                detail = f"The guardrail `{self.name}` refuses this answer."
                raise GuardrailRefusedError(detail, for_review=self.action == "review")
        passed = redact(self._held, found.spans, start, found.settled)
        kept = max(found.settled - 1, 0)
        self._is_context = found.settled > 0
        self._held = self._held[kept:]
        return passed


@dataclass(frozen=True, slots=True)
class OutputGuard:
    """All checks of one answer, in order: each sees what the previous one let through.

    Attributes:
        pieces: what the model has written so far.
    """

    checks: Sequence[OutputCheck] = field(default_factory=tuple)
    pieces: list[str] = field(default_factory=list)

    def feed(self, text: str, *, is_whole: bool = False) -> str:
        """Take the next piece of the answer and give what may be passed on, perhaps nothing yet.

        Raises:
            GuardrailRefusedError: the answer must not be given.
        """
        self.pieces.append(text)
        for check in self.checks:
            text = check.feed(text, is_whole=is_whole)
        return text

    def redacted(self) -> str:
        """Return the text so far as a reader may see it, redacted."""
        text = "".join(self.pieces)
        for check in self.checks:
            if check.action == "redact":
                text = redact(text, check.scan(text).spans)
        return text
