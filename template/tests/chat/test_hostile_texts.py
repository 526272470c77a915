"""Hostile texts: parsing takes time linear in their length and does not block the event loop."""

import threading
import time
from collections.abc import Callable

import pytest

from app.adapters import offline_language_model
from app.adapters.offline_language_model import OfflineLanguageModel, quote
from app.answers.citations import MOST_MARKERS, CheckedCitations, check_citations
from app.answers.prompts import neutralise
from app.chat.ports import Message, ModelRequest, Source
from app.chat.sentences import split_sentences
from tests.answers.fakes import passage

LENGTH = 200_000
# CPU time: many times what is needed, and a fraction of what quadratic time would take.
MOST_SECONDS = 5.0

WARRANTY = "The warranty of the product lasts for twenty four months after the day of purchase. "
MANY = " and ".join(f"word{number}" for number in range(LENGTH // 30))


def assert_quick(work: Callable[[], object]) -> None:
    before = time.thread_time()
    work()
    assert time.thread_time() - before < MOST_SECONDS


@pytest.mark.parametrize("read", [split_sentences, neutralise, lambda text: check_citations(text, [passage()])])
@pytest.mark.parametrize(
    "text",
    [
        "." * LENGTH + "x",
        '."' * (LENGTH // 2) + "x",
        "Yes. " * (LENGTH // 5),
        "a" + " " * LENGTH + "b",
        "\n " * (LENGTH // 2) + "x",
        "<" + " " * LENGTH + "sauce",
        "<" + " " * (LENGTH // 2) + "/" + " " * (LENGTH // 2) + "sauce",
        "[" + "1, " * (LENGTH // 3),
    ],
    ids=["stops", "quotes", "sentences", "spaces", "lines", "bracket", "slash", "marker"],
)
def test_a_text_is_read_in_time_that_grows_with_its_length(read: Callable[[str], object], text: str) -> None:
    assert_quick(lambda: read(text))


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("How long is the warranty?", WARRANTY * (LENGTH // len(WARRANTY))),
        ("a" + " " * LENGTH + "b?", WARRANTY),
        (f"Who said {MANY}?", " ".join(f"This says word{number}." for number in range(LENGTH // 20))),
        ("What says it?", f"# {MANY}\n\n" + " ".join(f"It says word{number}." for number in range(LENGTH // 20))),
    ],
    ids=["prose", "spaces", "clauses", "heading"],
)
def test_a_quote_is_found_in_time_that_grows_with_the_texts(question: str, text: str) -> None:
    assert_quick(lambda: quote(question, [Source(1, text)]))


def test_a_passage_is_cited_once_for_a_claim_however_often_its_marker_stands_there() -> None:
    passages = [passage(0, 1200, WARRANTY * 20) for _ in range(50)]
    checked: list[CheckedCitations] = []
    assert_quick(lambda: checked.append(check_citations("It lasts " + "[1-50,1-50,1-50,1-50]" * 500, passages)))
    assert [citation.marker for citation in checked[0].citations] == list(range(1, 51))


def test_so_many_markers_of_an_answer_are_looked_at_and_no_more() -> None:
    assert check_citations("So it is [9]. " * (MOST_MARKERS + 1), []).unknown == MOST_MARKERS


@pytest.mark.parametrize(("repeats", "is_in_thread"), [(1, False), (30, True)])
async def test_a_long_text_is_read_beside_the_event_loop(
    repeats: int, *, is_in_thread: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers: list[int] = []

    def read(text: str) -> list[str]:
        readers.append(threading.get_ident())
        return text.split()

    monkeypatch.setattr(offline_language_model, "words", read)
    request = ModelRequest([Message("user", WARRANTY * repeats), Message("user", "How long is the warranty?")])
    assert [event async for event in OfflineLanguageModel().stream(request)]
    assert (threading.get_ident() not in readers) is is_in_thread
