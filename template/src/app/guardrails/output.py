"""Checks on what a model writes, while it writes."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from app.errors import GuardrailRefusedError
from app.guardrails.spans import Scanner, redact
from app.guardrails.triggers import Trigger, report


@dataclass(slots=True)
class OutputCheck:
    """One check of one answer: holds back the end of the text for as long as it may become something else.

    Attributes:
        name: the check's name in settings.
        scan: finds what the check objects to; never holds back more than a few hundred characters.
        refuses: whether such a text is refused, instead of being redacted.
    """

    name: str
    scan: Scanner
    refuses: bool
    _held: str = ""
    _is_context: bool = False  # whether the first character held is there to be looked back at, and was passed on

    def feed(self, text: str, *, is_whole: bool = False) -> str:
        """Take the next piece and give what may be passed on; with the last piece, give everything.

        Raises:
            GuardrailRefusedError: it holds what must not be said.
        """
        self._held += text
        start = int(self._is_context)
        found = self.scan(self._held, start, is_whole=is_whole)
        if found.spans:
            report(Trigger(self.name, "output", "refuse" if self.refuses else "redact", len(found.spans)))
            if self.refuses:
                raise GuardrailRefusedError(f"The guardrail `{self.name}` refuses this answer.")
        passed = redact(self._held, found.spans, start, found.settled)
        kept = max(found.settled - 1, 0)
        self._is_context = found.settled > 0
        self._held = self._held[kept:]
        return passed


@dataclass(frozen=True, slots=True)
class OutputGuard:
    """The checks of one answer, in their order: each sees what the one before it let through."""

    checks: Sequence[OutputCheck] = field(default_factory=tuple)

    def feed(self, text: str, *, is_whole: bool = False) -> str:
        """Take the next piece of the answer and give what may be passed on, perhaps nothing yet.

        Raises:
            GuardrailRefusedError: the answer must not be given.
        """
        for check in self.checks:
            text = check.feed(text, is_whole=is_whole)
        return text
