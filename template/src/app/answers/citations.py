"""Checkable citations: each quotes the span of a document that supports a claim."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from app.answers.retrieval import Passage
from app.chat.sentences import split_sentences, terms, words

MOST_MARKERS = 2000  # per answer; further ones are ignored

# A run of spaces is matched only from its start: from each space, it would take quadratic time.
_GROUP = re.compile(r"(?<!\s)(?:\s*+\[\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*\])+")  # noqa: RUF001 - the dash of ranges
_PART = re.compile(r"(\d+)(?:\s*[–-]\s*(\d+))?")  # noqa: RUF001 - as above


@dataclass(frozen=True, slots=True)
class Citation:
    """A quote that supports a claim of the answer.

    Attributes:
        marker: the number that appears in the answer as `[marker]`.
        start: character offset in the document's text; the text from `start` to `end` is `quote`.
        page: counted from 1; None if the format has no pages.
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
    """The citations of an answer, in order of appearance.

    Attributes:
        unknown: how many markers refer to no passage.
    """

    citations: list[Citation]
    unknown: int


@dataclass(frozen=True, slots=True)
class _SourceSentence:
    """A sentence of a passage, prepared for comparison; `phrase` is its words separated and surrounded by spaces."""

    start: int
    end: int
    phrase: str
    terms: frozenset[str]


def check_citations(answer: str, passages: Sequence[Passage]) -> CheckedCitations:
    """Find the quote that each `[n]` of an answer refers to; `[1]` is the first passage."""
    claims = list(islice(_claims(answer), MOST_MARKERS))
    known = [(claim, marker) for claim, marker in claims if 1 <= marker <= len(passages)]
    read = {marker: list(_source_sentences(passages[marker - 1].text)) for marker in {marker for _, marker in known}}
    citations: dict[tuple[int, int, int], Citation] = {}
    for claim, marker in dict.fromkeys(known):
        citation = _cite(claim, marker, passages[marker - 1], read[marker])
        citations.setdefault((marker, citation.start, citation.end), citation)
    return CheckedCitations(list(citations.values()), len(claims) - len(known))


def _claims(answer: str) -> Iterator[tuple[str, int]]:
    """Yield every marker with its claim: the words before it, back to the last marker or the start of the sentence."""
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
        # Two numbers that are descending, or 50 or more apart, are not a range.
        yield from range(first, last + 1) if first <= last < first + 50 else (first, last)


def _source_sentences(text: str) -> Iterator[_SourceSentence]:
    for sentence in split_sentences(text):
        phrase = f" {' '.join(words(sentence.text))} "
        yield _SourceSentence(sentence.start, sentence.end, phrase, frozenset(terms(sentence.text)))


def _cite(claim: str, marker: int, passage: Passage, sentences: Sequence[_SourceSentence]) -> Citation:
    start, end = _support(claim, sentences) or (0, len(passage.text))
    return Citation(
        marker=marker,
        document_id=passage.document_id,
        passage_id=passage.passage_id,
        start=passage.start + start,
        end=passage.start + end,
        page=passage.page,
        quote=passage.text[start:end],
    )


def _support(claim: str, sentences: Sequence[_SourceSentence]) -> tuple[int, int] | None:
    """Return the span that supports a claim: a sentence that contains it, or the most similar one, if any."""
    phrase = f" {' '.join(words(claim))} "
    claim_terms = frozenset(terms(claim))
    best: tuple[int, int] | None = None
    most = 0.0
    for statement in sentences:
        if phrase.strip() and phrase in statement.phrase:
            return statement.start, statement.end
        similarity = _similarity(claim_terms, statement.terms)
        if similarity > most:
            best, most = (statement.start, statement.end), similarity
    return best


def _similarity(these: frozenset[str], those: frozenset[str]) -> float:
    """Return the overlap of two sets of words, 0 to 1 (Dice coefficient)."""
    return 2 * len(these & those) / (len(these) + len(those)) if these and those else 0.0
