"""Detection of prompt injection by a few readable rules.

No rule judges what a text is about. Each matches a typical form of injected instructions: an imperative at the start of
a clause against earlier instructions, a demand for the hidden prompt, a persona without limits, a fake system message,
an address to a model that processes the text, an instruction to send data away. Texts that only talk about injection
mostly lack that form. docs/guardrails.md has the measured accuracy.
"""

from collections.abc import Iterator

from app.guardrails.injection_rules import RULES
from app.guardrails.injection_rules_by_language import RULES_BY_LANGUAGE
from app.guardrails.normalization import find_hidden, readings

WINDOW = 20_000  # characters per search; between searches, other threads can run
OVERLAP = 400  # longest possible match


def find_injection(text: str) -> list[str]:
    """Return the names of the rules that match a text, in alphabetical order."""
    found = {"hidden_text"} if find_hidden(text) else set()
    for reading in readings(text):
        for window in _windows(reading):
            found.update(name for name, pattern in (*RULES, *RULES_BY_LANGUAGE) if pattern.search(window))
    return sorted(found)


def _windows(text: str) -> Iterator[str]:
    for start in range(0, max(len(text) - OVERLAP, 1), WINDOW - OVERLAP):
        yield text[start : start + WINDOW]
