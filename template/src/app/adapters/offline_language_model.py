"""Answers without a language model: quotes the sentences of the sources that match the question best."""

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
LEAST_COVERAGE = 0.4  # below this share of the question's weighted words, a sentence is about something else
CONTEXT_WEIGHT = 0.5  # a word that stands only in the heading, or in the sentence that "it" points to, counts half
NEXT_TO_BEST = 0.75  # a further sentence must score this share of the best one's

# What the answer to a question that opens like this tends to contain.
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
MOST_CLAUSES = 10  # of a question; more than so many could not be answered in three sentences
EXPECTATION_BONUS = 0.15
RANK_BONUS = 0.1
AT_ONCE = 2000  # characters that are read faster than a thread is reached

_MEASURE = re.compile(r"\bhow (?:many|much|long|often|old|far|big|large|late|soon)\b", re.IGNORECASE)
_JOINT = re.compile(r"[?;]|,?(?<!\s)\s++(?:and|or)\b", re.IGNORECASE)
_POINTS_BACK = re.compile(r"(?:it|its|they|their|this|these|that|those|he|she|his|her)\b", re.IGNORECASE)

_LEADING_MARK = re.compile(r"^(?:[-*•–]|\d{1,3}[.)])\s+")  # noqa: RUF001 - the dash opens list items
_MARKER = re.compile(r"\[(\d[\d\s,;]*)\]")
_MARKED = re.compile(r" \[\d+\]")  # what `quote` puts behind each sentence


@dataclass(frozen=True, slots=True)
class _Candidate:
    text: str
    marker: int
    rank: int
    own: frozenset[str]
    context: frozenset[str]


class OfflineLanguageModel:
    """Quotes instead of writing: one to three sentences, each followed by the marker of its source.

    Where a request brings no sources, the conversation's own text is the source, and no markers are written. The tokens
    that it counts are words. Settings of a writer's mood, such as the temperature, change nothing.
    """

    @property
    def name(self) -> str:
        """The model as answers name it."""
        return "offline:extractive"

    @property
    def stand_ins(self) -> Sequence[str]:
        """None: it answers itself."""
        return ()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Quote word by word; the last event is `Finished`."""
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
    """Answer a question with sentences of the sources, or say that they do not answer it."""
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
    """Give the answer, and how many words were read for it."""
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
    """Find the question, which ends the user's last turn, and the texts that came before it."""
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
    """Refuse what only a language model can do.

    Raises:
        UnsupportedParameterError: it is asked for.
    """
    why = "the offline model only quotes. Set APP_LANGUAGE_MODEL__PROVIDER to have it."
    if request.tools:
        raise UnsupportedParameterError(f"There is no function calling: {why}", param="tools")
    if request.response_format != "text":
        raise UnsupportedParameterError(f"There is no JSON output: {why}", param="response_format")


def _cut(text: str, stop: Sequence[str]) -> str:
    """End a text before the first of these strings."""
    return text[: min((text.find(mark) for mark in stop if mark in text), default=len(text))]


def _parts(question: str) -> list[str]:
    """Give the question as a whole, then each of the first questions that it joins."""
    clauses = [clause for clause in _JOINT.split(question, MOST_CLAUSES) if terms(clause)][:MOST_CLAUSES]
    return [question, *clauses] if len(clauses) > 1 else [question]


def _candidates(sources: Sequence[Source]) -> Iterator[_Candidate]:
    """Yield every sentence once, with the words of what it leans on."""
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
    """Weigh the words of the question by their rarity among the sentences; the weights add up to 1."""
    found_in = Counter(term for candidate in candidates for term in candidate.own | candidate.context)
    rarity = {term: math.log(2 + len(candidates) / (1 + found_in[term])) for term in asked}
    total = sum(rarity.values())
    return {term: weight / total for term, weight in rarity.items()}


def _score(candidate: _Candidate, expected: Sequence[re.Pattern[str]], weights: dict[str, float]) -> float:
    """Rate how well a sentence answers, 0 if it does not."""
    own = math.fsum(weights[term] for term in candidate.own & weights.keys())
    leant_on = math.fsum(weights[term] for term in (candidate.context - candidate.own) & weights.keys())
    coverage = own + CONTEXT_WEIGHT * leant_on
    if coverage < LEAST_COVERAGE:
        return 0.0
    is_expected = any(content.search(candidate.text) for content in expected)
    return coverage + EXPECTATION_BONUS * is_expected + RANK_BONUS / (1 + candidate.rank)


def _as_quote(sentence: str) -> str:
    """Put a sentence on one line, without list marks, and without brackets that would read as a citation."""
    return _MARKER.sub(r"(\1)", _LEADING_MARK.sub("", " ".join(sentence.split())))
