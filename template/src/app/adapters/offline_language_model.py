"""The offline model, which quotes the sentences of the sources that match the question best."""

import asyncio
import math
import re
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from app.chat.ports import Finished, FinishReason, Message, ModelEvent, ModelRequest, Source, TextDelta, Usage
from app.chat.sentences import is_heading, split_sentences, terms, words
from app.errors import UnsupportedParameterError
from app.threads import run_in_thread_if_large

NO_SOURCES = (
    "There is no language model configured: this service can only quote sentences from documents, or from the text of "
    "the conversation, and finds none there that answers. Set APP_LANGUAGE_MODEL__PROVIDER to have answers written."
)
NO_MATCH = "The documents do not answer this question."

MOST_SENTENCES = 3
LEAST_COVERAGE = 0.4  # smallest share of the question's weighted words that a sentence must contain
CONTEXT_WEIGHT = 0.5  # weight of words that occur only in the heading, or in the sentence to which "it" refers
NEXT_TO_BEST = 0.75  # smallest score of additional sentences, relative to the best one

# What answers to such questions tend to contain.
EXPECTATIONS = (
    (
        re.compile(r"\bhow (?:many|much|long|often|old|far|big|large|late|soon)\b"),
        re.compile(r"\d|\b(?:once|twice|one|two|three|four|five|six|seven|eight|nine|ten|twelve)\b"),
    ),
    (re.compile(r"\bwhen\b|\bwhat (?:time|day|date|year)\b"), re.compile(r"\d|\b(?:day|week|month|year)|day\b")),
    (re.compile(r"\bwho\b"), re.compile(r"\b[A-Z]\w+ [A-Z]\w+")),
    (re.compile(r"\bwhere\b"), re.compile(r"\b(?:in|at|on|under|near|behind|from|to) ")),
    (re.compile(r"\bwhy\b"), re.compile(r"\b(?:because|since|so that|due to|in order to|therefore)\b")),
)
MOST_CLAUSES = 10  # of a question; three sentences could not answer more
EXPECTATION_BONUS = 0.15
RANK_BONUS = 0.1
AT_ONCE = 2000  # characters up to which a thread would be slower

_MEASURE = re.compile(r"\bhow (?:many|much|long|often|old|far|big|large|late|soon)\b", re.IGNORECASE)
_JOINT = re.compile(r"[?;]|,?(?<!\s)\s++(?:and|or)\b", re.IGNORECASE)
_POINTS_BACK = re.compile(r"(?:it|its|they|their|this|these|that|those|he|she|his|her)\b", re.IGNORECASE)

_LEADING_MARK = re.compile(r"^(?:[-*•–]|\d{1,3}[.)])\s+")  # noqa: RUF001 - the dash opens list items
_MARKER = re.compile(r"\[(\d[\d\s,;]*)\]")
_MARKED = re.compile(r" \[\d+\]")  # what `quote` appends to each sentence


@dataclass(frozen=True, slots=True)
class _Candidate:
    text: str
    marker: int
    rank: int
    own: frozenset[str]
    context: frozenset[str]


class OfflineLanguageModel:
    """Answers with one to three quoted sentences, each followed by the marker of its source.

    Without sources in the request, it quotes the text of the conversation, without markers. Its tokens are words.
    Sampling options, such as the temperature, have no effect.
    """

    @property
    def name(self) -> str:
        """Name of the model in answers."""
        return "offline:extractive"

    @property
    def fallbacks(self) -> Sequence[str]:
        """Always empty."""
        return ()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Stream the answer word by word; the last event is `Finished`."""
        _refuse(request)
        texts = [*(message.content for message in request.messages), *(source.text for source in request.sources)]
        text, read = await run_in_thread_if_large(partial(_answer, request), size=sum(map(len, texts)), at_once=AT_ONCE)
        pieces = text.split(" ") if text else []
        written = pieces[: request.max_tokens]
        for number, piece in enumerate(written):
            yield TextDelta(piece if number == 0 else f" {piece}")
            await asyncio.sleep(0)
        reason: FinishReason = "stop" if len(written) == len(pieces) else "length"
        yield Finished(reason, Usage(read, len(written)), self.name)


def quote(question: str, sources: Sequence[Source]) -> str:
    """Return the best sentences of the sources with their markers, or `NO_MATCH`."""
    candidates = list(_candidates(sources))
    chosen: list[_Candidate] = []
    covered: set[str] = set()
    for part in _parts(question):
        weights = _weights(dict.fromkeys(terms(_MEASURE.sub("", part))), candidates)
        expected = [content for opening, content in EXPECTATIONS if opening.search(part.casefold())]
        scored = [(_score(candidate, expected, weights), candidate) for candidate in candidates]
        ranked = sorted((pair for pair in scored if pair[0]), key=lambda pair: -pair[0])
        for score, candidate in ranked:
            shared = candidate.own & weights.keys()
            if not chosen or (shared - covered and score >= ranked[0][0] * NEXT_TO_BEST):
                chosen.append(candidate)
                covered |= shared
    return " ".join(f"{_as_quote(each.text)} [{each.marker}]" for each in chosen[:MOST_SENTENCES]) or NO_MATCH


def _answer(request: ModelRequest) -> tuple[str, int]:
    """Return the answer and the number of words in the messages."""
    read = sum(len(words(message.content)) for message in request.messages)
    return _cut(_quote_for(request), request.stop), read


def _quote_for(request: ModelRequest) -> str:
    asked = [message.content for message in request.messages if message.role == "user"]
    if request.sources:
        return quote(asked[-1] if asked else "", request.sources)
    question, sources = _read_conversation(request.messages)
    quoted = quote(question, sources)
    return NO_SOURCES if quoted == NO_MATCH else _MARKED.sub("", quoted)


def _read_conversation(messages: Sequence[Message]) -> tuple[str, list[Source]]:
    """Return the question at the end of the last message, and the texts before it as sources."""
    given = [message.content for message in messages if message.role != "assistant" and message.content.strip()]
    if not given:
        return "", []
    *before, last = given
    sentences = split_sentences(last)
    questions = [sentence for sentence in sentences if sentence.text.endswith("?")] or sentences[-1:]
    asked = " ".join(sentence.text for sentence in questions)
    starts = {sentence.start for sentence in questions}
    rest = "\n\n".join(sentence.text for sentence in sentences if sentence.start not in starts)
    return asked, [Source(number, text) for number, text in enumerate([*before, rest], start=1) if text]


def _refuse(request: ModelRequest) -> None:
    """Reject options that only a language model supports.

    Raises:
        UnsupportedParameterError: the request has tools or a JSON format.
    """
    why = "the offline model only quotes. Set APP_LANGUAGE_MODEL__PROVIDER to have it."
    if request.tools:
        raise UnsupportedParameterError(f"There is no function calling: {why}", param="tools")
    if request.response_format != "text":
        raise UnsupportedParameterError(f"There is no JSON output: {why}", param="response_format")


def _cut(text: str, stop: Sequence[str]) -> str:
    """Cut a text before the first occurrence of a stop string."""
    return text[: min((text.find(mark) for mark in stop if mark in text), default=len(text))]


def _parts(question: str) -> list[str]:
    """Return the complete question, followed by its clauses if it has several."""
    clauses = [clause for clause in _JOINT.split(question, MOST_CLAUSES) if terms(clause)][:MOST_CLAUSES]
    return [question, *clauses] if len(clauses) > 1 else [question]


def _candidates(sources: Sequence[Source]) -> Iterator[_Candidate]:
    """Yield every distinct sentence with the terms of its context."""
    seen: set[tuple[str, ...]] = set()
    for rank, source in enumerate(sources):
        heading: frozenset[str] = frozenset()
        before: frozenset[str] = frozenset()
        for sentence in split_sentences(source.text):
            own = frozenset(terms(sentence.text))
            if is_heading(sentence.text):
                heading = own
                continue
            context = heading | before if _POINTS_BACK.match(sentence.text) else heading
            key = tuple(words(sentence.text))
            if key and key not in seen:
                seen.add(key)
                yield _Candidate(sentence.text, source.marker, rank, own, context)
            before = own


def _weights(asked: Iterable[str], candidates: Sequence[_Candidate]) -> dict[str, float]:
    """Weight the terms of the question by their rarity in the sentences; the weights add up to 1."""
    found_in = Counter(term for candidate in candidates for term in candidate.own | candidate.context)
    rarity = {term: math.log(2 + len(candidates) / (1 + found_in[term])) for term in asked}
    total = sum(rarity.values())
    return {term: weight / total for term, weight in rarity.items()}


def _score(candidate: _Candidate, expected: Sequence[re.Pattern[str]], weights: dict[str, float]) -> float:
    """Return how well a sentence answers the question; 0 if it does not."""
    own = math.fsum(weights[term] for term in candidate.own & weights.keys())
    leant_on = math.fsum(weights[term] for term in (candidate.context - candidate.own) & weights.keys())
    coverage = own + CONTEXT_WEIGHT * leant_on
    if coverage < LEAST_COVERAGE:
        return 0.0
    is_expected = any(content.search(candidate.text) for content in expected)
    return coverage + EXPECTATION_BONUS * is_expected + RANK_BONUS / (1 + candidate.rank)


def _as_quote(sentence: str) -> str:
    """Put a sentence on one line, without list markers or brackets that look like citations."""
    return _MARKER.sub(r"(\1)", _LEADING_MARK.sub("", " ".join(sentence.split())))
