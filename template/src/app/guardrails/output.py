"""Checks of a model's output while it streams."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.errors import GuardrailRefusedError
from app.guardrails.settings import Action
from app.guardrails.spans import Scanner, redact
from app.guardrails.triggers import Trigger, report


@dataclass(slots=True)
class OutputCheck:
    """A check of one answer; it holds back the end of the text while that may still become a match.

    Attributes:
        name: name of the check in the settings.
        scan: finds matches; it leaves at most a few hundred characters unsettled.
        action: action on a match: `redact`, `refuse` or `review`.
    """

    name: str
    scan: Scanner
    action: Action
    _held: str = ""
    _is_context: bool = False  # whether the first held character was already returned and only serves as context

    def feed(self, text: str, *, is_whole: bool = False) -> str:
        """Check the next piece and return the text that is cleared; with `is_whole`, return all that is left.

        Raises:
            GuardrailRefusedError: the text has a match, and the action is not `redact`.
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
    """All checks of one answer, in order; each checks the output of the previous one.

    Attributes:
        checks: the enabled checks.
        pieces: output of the model so far.
    """

    checks: Sequence[OutputCheck] = field(default_factory=tuple)
    pieces: list[str] = field(default_factory=list)

    def feed(self, text: str, *, is_whole: bool = False) -> str:
        """Check the next piece of the answer and return the text that is cleared, possibly an empty string.

        Raises:
            GuardrailRefusedError: a check refuses the answer.
        """
        self.pieces.append(text)
        for check in self.checks:
            text = check.feed(text, is_whole=is_whole)
        return text

    def redacted(self) -> str:
        """Return the output so far, redacted by the checks that redact."""
        text = "".join(self.pieces)
        for check in self.checks:
            if check.action == "redact":
                text = redact(text, check.scan(text).spans)
        return text
