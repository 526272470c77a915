"""Answering questions from the caller's documents."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from operator import attrgetter

import structlog

from app.answers.citations import Citation, check_citations
from app.answers.ports import PassageSearch, PromptSource
from app.answers.prompts import ANSWERS_PROMPT, RULES, compose_request, fit_budget
from app.answers.retrieval import Filters, Passage
from app.answers.settings import AnswersSettings
from app.auth.caller import Caller, Scope
from app.chat.guarding import check_request, guarded, redact_request
from app.chat.metering import metered
from app.chat.ports import (
    Finished,
    FinishReason,
    LanguageModel,
    Message,
    ModelEvent,
    ModelRequest,
    TextDelta,
    Usage,
    UsageRecorder,
)
from app.errors import UpstreamFailedError
from app.guardrails.service import Guardrails
from app.prompts.service import FilledPrompt, PromptChoice

log = structlog.get_logger(__name__)

ENDPOINT = "answers"
NOTHING_FOUND = "Your documents hold nothing about this question."


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished answer with checked citations.

    Attributes:
        model: the language model that wrote it.
        finish_reason: why it ends, such as `stop`, or `length` if a limit cut it off.
    """

    text: str
    citations: Sequence[Citation]
    model: str
    usage: Usage
    finish_reason: FinishReason = "stop"


@dataclass(frozen=True, slots=True)
class Passages:
    """The first event: the passages that the answer is based on. Marker 1 refers to the first one."""

    passages: Sequence[Passage]


@dataclass(frozen=True, slots=True)
class Token:
    """The next piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The last event: the complete answer."""

    answer: Answer


AnswerEvent = Passages | Token | Done


@dataclass(frozen=True, slots=True)
class AnswerService:
    """Answers questions with a language model, from passages that a search finds."""

    retrieval: PassageSearch
    language_model: LanguageModel
    usage: UsageRecorder
    prompts: PromptSource
    guardrails: Guardrails = field(default_factory=Guardrails)
    settings: AnswersSettings = field(default_factory=AnswersSettings)

    async def answer(
        self,
        question: str,
        *,
        caller: Caller,
        top_k: int = 5,
        filters: Filters | None = None,
        prompt: PromptChoice | None = None,
    ) -> Answer:
        """Return the complete answer; raise what `stream` raises."""
        streamed = self.stream(question, caller=caller, top_k=top_k, filters=filters, prompt=prompt)
        last = [event async for event in streamed][-1]
        assert isinstance(last, Done)  # noqa: S101 - every stream that does not raise ends with it
        return last.answer

    async def stream(
        self,
        question: str,
        *,
        caller: Caller,
        top_k: int = 5,
        filters: Filters | None = None,
        prompt: PromptChoice | None = None,
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Stream an answer: `Passages`, any number of `Token`s, `Done`; closing the iterator stops the model.

        The rules are `prompt`, or else the active stored prompt named `answers`, or else the built-in ones. If no
        passages are found, the answer says so and no model is called.

        Raises:
            CallerError: the caller may not ask, or has reached a limit; the prompt cannot be used; the documents
                need reindexing; a guardrail rejects the question, or the answer, possibly mid-stream.
            UpstreamError: the search or the language model failed, possibly mid-stream.
        """
        caller.require(Scope.ANSWERS)
        rules = await self._choose(prompt, caller)
        await check_request(ModelRequest([Message("user", question)]), self.guardrails, owner=caller.id)
        found = await self.retrieval.find(question, caller=caller, top_k=top_k, filters=filters)
        passages = fit_budget(await self.guardrails.leave_out_suspicious(found, attrgetter("text")))
        if not passages:
            yield Passages(passages)
            yield Token(NOTHING_FOUND)
            yield Done(Answer(NOTHING_FOUND, [], self.language_model.name, Usage(0, 0)))
            return
        pieces: list[str] = []
        # Limits are checked before the first event, so that reaching one is an ordinary error response.
        async with self._answer_from(passages, question, rules, caller) as events:
            yield Passages(passages)
            async for event in events:
                if isinstance(event, TextDelta):
                    pieces.append(event.text)
                    yield Token(event.text)
                elif isinstance(event, Finished):
                    yield Done(_finish("".join(pieces), event, passages))

    @asynccontextmanager
    async def _answer_from(
        self, passages: Sequence[Passage], question: str, rules: FilledPrompt | None, caller: Caller
    ) -> AsyncIterator[AsyncGenerator[ModelEvent, None]]:
        model, usage, most = self.language_model, self.usage, self.settings.max_tokens
        most = min(most, usage.longest_answer(caller=caller) or most)
        request = compose_request(question, passages, most, rules.text if rules else RULES)
        request = await redact_request(request, self.guardrails)
        asked = metered(model, request, endpoint=ENDPOINT, caller=caller, usage=usage, prompt=rules)
        async with asked as answer, aclosing(guarded(answer, self.guardrails, request, owner=caller.id)) as events:
            yield events

    async def _choose(self, prompt: PromptChoice | None, caller: Caller) -> FilledPrompt | None:
        if prompt is None:
            return await self.prompts.find_active(ANSWERS_PROMPT)
        return await self.prompts.fill(prompt, caller=caller)


def _finish(text: str, end: Finished, passages: Sequence[Passage]) -> Answer:
    """Build the answer from what the model wrote, with checked citations.

    Raises:
        UpstreamFailedError: the model wrote nothing.
    """
    if not text.strip():
        raise UpstreamFailedError(f"The language model wrote no answer (finish reason: {end.reason}).")
    checked = check_citations(text, passages)
    log.info(
        "answer.written",
        model=end.model,
        finish_reason=end.reason,
        citations=len(checked.citations),
        unknown_markers=checked.unknown,
        input_tokens=end.usage.input_tokens,
        output_tokens=end.usage.output_tokens,
    )
    return Answer(text, checked.citations, end.model, end.usage, end.reason)
