"""Detection of prompt injection by a few readable rules.

No rule judges what a text is about. Each looks for the form that such orders take: an imperative at the start of a
clause that is aimed at earlier instructions, a demand for the hidden prompt, a new self without limits, a feigned
system message, words addressed to a model that reads along, an order to send away what was said. What only talks about
such orders mostly lacks that form. docs/guardrails.md says how often the rules are right.
"""

from collections.abc import Iterator

from app.guardrails.injection_rules import RULES
from app.guardrails.injection_rules_by_language import RULES_BY_LANGUAGE
from app.guardrails.normalization import find_hidden, readings

WINDOW = 20_000  # characters that are searched in one go; longer texts leave other threads a turn in between
OVERLAP = 400  # no rule reaches further


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
