"""Citations point at the characters of a document that support the claim before their marker."""

import pytest

from app.answers.citations import Citation, check_citations
from tests.answers.fakes import DOCUMENT, passage, passage_of

WARRANTY = "The warranty lasts 24 months."
BATTERY = "It covers the battery [2], but not the cable."
RETURNS = "Goods can be returned within 30 days."
PARCEL = "The buyer pays for the parcel."
FIRST = passage_of(f"{WARRANTY} {BATTERY}")
SECOND = passage_of(f"{RETURNS} {PARCEL}")


def quotes(answer: str) -> list[tuple[int, str]]:
    citations = check_citations(answer, [FIRST, SECOND]).citations
    assert all(DOCUMENT[each.start : each.end] == each.quote for each in citations)
    return [(each.marker, each.quote) for each in citations]


def test_a_citation_quotes_the_document_and_says_where() -> None:
    [citation] = check_citations("You have 24 months of warranty [1].", [FIRST, SECOND]).citations
    start = DOCUMENT.index(WARRANTY)
    assert citation == Citation(
        marker=1,
        document_id=FIRST.document_id,
        passage_id=FIRST.passage_id,
        start=start,
        end=start + len(WARRANTY),
        page=1,
        quote=WARRANTY,
    )


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (f"{WARRANTY} [1]", [(1, WARRANTY)]),
        ("The battery is covered, the cable is not.[1]", [(1, BATTERY)]),
        ("Within 30 days you can return goods [2]; the parcel is paid by the buyer [2].", [(2, RETURNS), (2, PARCEL)]),
        ("It lasts 24 months [1][2].", [(1, WARRANTY), (2, DOCUMENT[SECOND.start : SECOND.end])]),
        ("Returned goods and the warranty [1, 2]", [(1, WARRANTY), (2, RETURNS)]),
        ("Returned goods and the warranty [1-2]", [(1, WARRANTY), (2, RETURNS)]),
        ("30 days. [2] For 24 months there is warranty. [1]", [(2, RETURNS), (1, WARRANTY)]),
        ("First sentence. The buyer pays the parcel. [2]", [(2, PARCEL)]),
        ("A warranty of 24 months [1]. [2]", [(1, WARRANTY), (2, DOCUMENT[SECOND.start : SECOND.end])]),
    ],
)
def test_every_marker_is_paired_with_the_words_that_support_what_stands_before_it(
    answer: str, expected: list[tuple[int, str]]
) -> None:
    assert quotes(answer) == expected


def test_a_sentence_that_says_the_claim_word_for_word_wins_over_a_similar_one() -> None:
    text = "The cable has a warranty of months. A warranty of 24 months covers everything but the cable itself."
    [citation] = check_citations("A warranty of 24 months [1]", [passage(0, len(text), text)]).citations
    assert citation.quote.startswith("A warranty of 24 months")


def test_a_claim_that_nothing_resembles_cites_the_whole_passage() -> None:
    assert quotes("Bananas [2].") == [(2, f"{RETURNS} {PARCEL}")]


def test_markers_that_name_no_passage_are_counted_and_cite_nothing() -> None:
    checked = check_citations("A [0], b [3] and c [7, 1].", [FIRST, SECOND])
    assert [each.marker for each in checked.citations] == [1]
    assert checked.unknown == 3


def test_the_same_support_is_listed_once() -> None:
    assert quotes("24 months of warranty [1]. The warranty: 24 months [1].") == [(1, WARRANTY)]


@pytest.mark.parametrize("answer", ["", "No markers.", "See [x] and [] and [1234] and (1)."])
def test_text_without_markers_has_no_citations(answer: str) -> None:
    checked = check_citations(answer, [FIRST])
    assert (checked.citations, checked.unknown) == ([], 0)


def test_an_absurd_range_is_read_as_its_two_ends() -> None:
    assert check_citations("All of it [1-999].", [FIRST]).unknown == 1


def test_without_passages_every_marker_is_unknown() -> None:
    assert check_citations("So it is [1].", []).unknown == 1
