"""Splitting texts into sentences with offsets, and reducing words to comparable stems."""

import pytest

from app.chat.sentences import is_heading, split_sentences, stem, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("It costs 3.50 euros, e.g. at Dr. No's. Cheap.", ["It costs 3.50 euros, e.g. at Dr. No's.", "Cheap."]),
        ("See example.com for more. Done.", ["See example.com for more.", "Done."]),
        ("# Title\nText goes on\nover lines. End.", ["# Title", "Text goes on\nover lines.", "End."]),
        ("1. First step.\n2. Second step.", ["1. First step.", "2. Second step."]),
        ("- apples\n- pears", ["- apples", "- pears"]),
        ("Short title\nThe text begins here.", ["Short title", "The text begins here."]),
        ("One paragraph\n\nanother one", ["One paragraph", "another one"]),
        ("今日は。明日は？", ["今日は。", "明日は？"]),  # noqa: RUF001 - the punctuation under test
        ("", []),
        (" \n\n ", []),
    ],
)
def test_a_text_falls_into_its_sentences(text: str, expected: list[str]) -> None:
    assert [sentence.text for sentence in split_sentences(text)] == expected


@pytest.mark.parametrize("text", ["  A b.  C d!\n\n# E\nf g\r\n\th. ", "..!?", "a\n\n\n\nb", "x. " * 50])
def test_offsets_point_at_exactly_the_sentence(text: str) -> None:
    for sentence in split_sentences(text):
        assert text[sentence.start : sentence.end] == sentence.text


@pytest.mark.parametrize("text", ["  A b.  C d!\n\n# E\nf g\r\n\th. ", "..!?", "a\n\n\n\nb", "x. " * 50])
def test_nothing_but_white_space_is_lost(text: str) -> None:
    joined = "".join(sentence.text for sentence in split_sentences(text))
    assert "".join(joined.split()) == "".join(text.split())


def test_wrapped_lines_stay_together() -> None:
    wrapped = "This paragraph was wrapped by the program that made the file, at about\nSixty characters a line."
    assert len(split_sentences(wrapped)) == 1


@pytest.mark.parametrize(
    "forms",
    [
        ("warranty", "warranties"),
        ("return", "returns", "returned", "returning"),
        ("stop", "stops", "stopped", "stopping"),
        ("charge", "charges", "charged", "charging"),
        ("cancel", "cancelled", "cancelling"),
        ("box", "boxes"),
        ("process", "processes", "processed"),
    ],
)
def test_forms_of_a_word_share_a_stem(forms: tuple[str, ...]) -> None:
    assert len({stem(form) for form in forms}) == 1


def test_words_that_differ_keep_different_stems() -> None:
    assert len({stem(word) for word in ("day", "date", "bus", "business", "gas", "class", "is")}) == 7


def test_terms_leave_out_words_without_meaning() -> None:
    assert terms("What's the date, and isn't it late?") == ["dat", "lat"]


def test_titles_are_headings_and_statements_are_not() -> None:
    assert is_heading("## Anything")
    assert is_heading("Terms of sale")
    assert not is_heading("It works.")
    assert not is_heading("Price: 5 euros")
