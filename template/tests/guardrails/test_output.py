"""Output checks: a streamed answer gets the same verdict as the complete one."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import GuardrailRefusedError
from app.guardrails.banned_phrases import BannedPhrases
from app.guardrails.output import OutputCheck, OutputGuard
from app.guardrails.personal_data import LONGEST_CLUSTER, scan_personal_data
from app.guardrails.service import Guardrails
from app.guardrails.settings import Action, CheckSettings
from app.guardrails.spans import redact
from tests.guardrails.test_personal_data import TEXTS

PHRASES = ("guaranteed returns", "guaranteed", "returns policy", "保証", "ab", "bcd", "straße")
PIECES = st.sampled_from(
    [
        "Guaranteed",
        "guaran",
        "teed",
        " ",
        "\n",
        "returns",
        "RETURNS ",
        "policy",
        "保",
        "証",
        "a",
        "b",
        "c",
        "d",
        "STRASSE",
        "ẞ",
    ]
)


def guard(action: Action = "redact") -> OutputGuard:
    return OutputGuard(
        [
            OutputCheck("pii", scan_personal_data, action),
            OutputCheck("banned", BannedPhrases(PHRASES), action),
        ]
    )


def cut(text: str, places: list[int]) -> list[str]:
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(bounds)]


def stream(pieces: list[str], action: Action = "redact") -> tuple[str, bool]:
    """Return the text passed on, and whether the answer was refused."""
    output, passed = guard(action), ""
    try:
        for piece in pieces:
            passed += output.feed(piece)
        return passed + output.feed("", is_whole=True), False
    except GuardrailRefusedError:
        return passed, True


@given(st.one_of(TEXTS, st.lists(PIECES, max_size=12).map("".join)), st.lists(st.integers(0, 2000), max_size=30))
def test_however_a_text_is_cut_the_same_is_passed_on(text: str, places: list[int]) -> None:
    whole = redact(text, scan_personal_data(text).spans)
    whole = redact(whole, BannedPhrases(PHRASES)(whole).spans)
    assert stream([text]) == (whole, False)
    assert stream(cut(text, places)) == (whole, False)
    assert stream(list(text)) == (whole, False)


@given(st.one_of(TEXTS, st.lists(PIECES, max_size=12).map("".join)), st.lists(st.integers(0, 2000), max_size=30))
def test_however_a_text_is_cut_it_is_refused_or_not_and_nothing_forbidden_was_passed_on(
    text: str, places: list[int]
) -> None:
    redacted, _ = stream([text])
    passed, is_refused = stream(cut(text, places), "refuse")
    assert is_refused == stream([text], "refuse")[1]
    assert redacted.startswith(passed)
    assert is_refused or passed == text


@given(TEXTS)
def test_no_more_is_held_back_than_one_cluster(text: str) -> None:
    passed = OutputCheck("pii", scan_personal_data, "redact").feed(text)
    spans = scan_personal_data(text).spans
    whole = redact(text, spans)
    assert len(whole) - len(passed) <= 2 * LONGEST_CLUSTER


def test_words_are_passed_on_as_soon_as_the_next_begins() -> None:
    output = guard()
    assert [output.feed(piece) for piece in ("The ", "warranty", " lasts ", "24", " months")] == [
        "The ",
        "",
        "warranty lasts ",
        "",
        "",
    ]
    assert output.feed(" or", is_whole=True) == "24 months or"


def test_text_without_spaces_between_words_is_not_held_back() -> None:
    assert guard().feed("保修期为二十四个月") == "保修期为二十四个月"


def test_a_phrase_is_found_whatever_its_case_and_only_as_whole_words() -> None:
    banned = BannedPhrases(["guaranteed returns"])
    assert banned("We offer GUARANTEED\nReturns!").spans
    assert not banned("unguaranteed returns, guaranteed returnships").spans


def test_a_refusal_names_the_check_and_none_of_the_text() -> None:
    with pytest.raises(GuardrailRefusedError) as caught:
        guard("refuse").feed("Write to ada@example.com now")
    assert caught.value.detail == "The guardrail `pii` refuses this answer."


def test_banned_phrases_are_made_ready_once_for_all_answers() -> None:
    guardrails = Guardrails(CheckSettings(banned_phrases=["guaranteed returns"]))
    first, second = guardrails.open_output(), guardrails.open_output()
    assert first is not None
    assert second is not None
    assert first.checks[0] is not second.checks[0]
    assert first.checks[0].scan is second.checks[0].scan
