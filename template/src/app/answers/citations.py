"""Citations that can be checked: each one quotes the characters of a document that support a claim."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.answers.retrieval import Passage
from app.chat.sentences import split_sentences, terms, words

_GROUP = re.compile(r"(?:\s*\[\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*\])+")  # noqa: RUF001 - the dash of ranges
_PART = re.compile(r"(\d+)(?:\s*[–-]\s*(\d+))?")  # noqa: RUF001 - as above


@dataclass(frozen=True, slots=True)
class Citation:
    """Where a claim of the answer comes from.

    Attributes:
        marker: the number that stands in the answer as `[marker]`.
        start: character offset in the document's text; the text from `start` to `end` is `quote`.
        page: counted from 1; None where the format has no pages.
    """

    marker: int
    document_id: UUID
    passage_id: UUID
    start: int
    end: int
    page: int | None
    quote: str


@dataclass(frozen=True, slots=True)
class CheckedCitations:
    """The citations of an answer, in the order of the text.

    Attributes:
        unknown: how many markers named no passage; they cite nothing.
    """

    citations: list[Citation]
    unknown: int


def check_citations(answer: str, passages: Sequence[Passage]) -> CheckedCitations:
    """Find what each `[n]` of an answer refers to; `[1]` is the first passage."""
    citations: dict[tuple[int, int, int], Citation] = {}
    unknown = 0
    for claim, marker in _claims(answer):
        if not 1 <= marker <= len(passages):
            unknown += 1
            continue
        citation = _cite(claim, marker, passages[marker - 1])
        citations.setdefault((marker, citation.start, citation.end), citation)
    return CheckedCitations(list(citations.values()), unknown)


def _claims(answer: str) -> Iterator[tuple[str, int]]:
    """Pair every marker with the words before it, back to the last marker or the start of the sentence."""
    claim = ""
    position = 0
    for group in _GROUP.finditer(answer):
        said = [sentence.text for sentence in split_sentences(answer[position : group.start()]) if words(sentence.text)]
        claim = said[-1] if said else claim
        position = group.end()
        for marker in _markers(group.group()):
            yield claim, marker


def _markers(group: str) -> Iterator[int]:
    for part in _PART.finditer(group):
        first = int(part.group(1))
        last = int(part.group(2) or first)
        # A range that runs backwards, or over more than a page of sources, is no range.
        yield from range(first, last + 1) if first <= last < first + 50 else (first, last)


def _cite(claim: str, marker: int, passage: Passage) -> Citation:
    start, end = _support(claim, passage.text)
    return Citation(
        marker=marker,
        document_id=passage.document_id,
        passage_id=passage.passage_id,
        start=passage.start + start,
        end=passage.start + end,
        page=passage.page,
        quote=passage.text[start:end],
    )


def _support(claim: str, text: str) -> tuple[int, int]:
    """Choose the span that supports a claim: a sentence that says it, else the most similar one, else everything."""
    sentences = split_sentences(text)
    phrase = f" {' '.join(words(claim))} "
    meant = set(terms(claim))
    best: tuple[int, int] | None = None
    most = 0.0
    for sentence in sentences:
        if phrase.strip() and phrase in f" {' '.join(words(sentence.text))} ":
            return sentence.start, sentence.end
        similarity = _similarity(meant, set(terms(sentence.text)))
        if similarity > most:
            best, most = (sentence.start, sentence.end), similarity
    return best or (0, len(text))


def _similarity(these: set[str], those: set[str]) -> float:
    """Measure the overlap of two sets of words from 0 to 1 (Dice coefficient)."""
    return 2 * len(these & those) / (len(these) + len(those)) if these and those else 0.0
