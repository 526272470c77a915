"""The precision and recall of the guardrails in the documentation are the measured ones."""

from pathlib import Path

import pytest

from app.guardrails.injection import find_injection
from app.guardrails.personal_data import scan_personal_data
from tests.guardrails.cases import Score, load_cases

DOCUMENT = Path(__file__).parents[2] / "docs" / "guardrails.md"
KINDS = ("email", "phone", "card", "iban")


@pytest.mark.parametrize("part", ["development", "held_out"])
def test_the_document_has_the_precision_and_recall_of_the_injection_screen(part: str) -> None:
    score = Score()
    for case in load_cases(f"injection_{part}"):
        found = bool(find_injection(case["text"]))
        score.right += found and case["injection"]
        score.wrong += found and not case["injection"]
        score.missed += case["injection"] and not found
    assert f"| injection, {part.replace('_', ' ')} | {score} |" in DOCUMENT.read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_the_document_has_the_precision_and_recall_for_personal_data(kind: str) -> None:
    score = Score()
    for case in load_cases("personal_data"):
        spans = [span for span in scan_personal_data(case["text"]).spans if span.kind == kind]
        found = [case["text"][span.start : span.end] for span in spans]
        expected = [text for name, text in case["found"] if name == kind]
        right = sum(text in expected for text in found)
        score.right += right
        score.wrong += len(found) - right
        score.missed += len(expected) - right
    assert f"| personal data, {kind} | {score} |" in DOCUMENT.read_text(encoding="utf-8")


def test_there_are_enough_cases_each_way_and_none_is_in_both_halves() -> None:
    halves = [load_cases("injection_development"), load_cases("injection_held_out")]
    injections = [case for half in halves for case in half]
    assert sum(case["injection"] for case in injections) >= 150
    assert sum(not case["injection"] for case in injections) >= 150
    assert len({case["text"] for case in injections}) == len(injections)
    personal = load_cases("personal_data")
    assert sum(bool(case["found"]) for case in personal) >= 150
    assert sum(not case["found"] for case in personal) >= 150
