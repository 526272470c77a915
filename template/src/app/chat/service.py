"""Answering conversations with a language model."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from app.auth.caller import Caller, Scope
from app.chat.answer_cache import answer_key
from app.chat.caching import Answering, CacheWish, Caching
from app.chat.guarding import check_request, guarded, redact_request
from app.chat.metering import meter_kept, metered
from app.chat.ports import (
    Finished,
    LanguageModel,
    Message,
    ModelEvent,
    ModelRequest,
    PromptSource,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    UsageRecorder,
)
from app.chat.settings import ChatSettings
from app.chat.shaping import CHECK as SCHEMA_CHECK
from app.chat.shaping import ReadShape, Shape, shaped
from app.errors import (
    ModelNotFoundError,
    RefusedByModelError,
    RequestRefusedError,
    SchemaRefusedError,
    UnsupportedParameterError,
    UpstreamFailedError,
)
from app.guardrails.service import Guardrails
from app.prompts.service import FilledPrompt, PromptChoice
from app.response_headers import add_response_headers

ENDPOINT = "chat.completions"
PROMPT_HEADER = "X-Prompt"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model wrote, and which functions it wants called."""

    text: str
    tool_calls: list[ToolCall]
    end: Finished


@dataclass(frozen=True, slots=True)
class ChatService:
    """Has a language model answer, within limits and on the caller's account.

    Attributes:
        language_models: by each name that they can be asked for.
        caching: gives answers again; None where none are kept.
        read_shape: reads the schemas of answers in JSON; None holds no answer to its schema.
    """

    language_models: Mapping[str, LanguageModel]
    usage: UsageRecorder
    settings: ChatSettings
    prompts: PromptSource
    guardrails: Guardrails = field(default_factory=Guardrails)
    caching: Caching | None = None
    read_shape: ReadShape | None = None

    def find_model(self, name: str) -> LanguageModel:
        """Find the language model of this name.

        Raises:
            ModelNotFoundError: there is none.
        """
        if name not in self.language_models:
            names = ", ".join(self.language_models)
            raise ModelNotFoundError(f"There is no such chat model; this service has {names}.")
        return self.language_models[name]

    async def complete(  # noqa: PLR0913 - each is named where it is called
        self,
        request: ModelRequest,
        *,
        model: str,
        max_tokens: int | None,
        caller: Caller,
        cache: CacheWish | None = None,
        prompt: PromptChoice | None = None,
    ) -> Answer:
        """Answer in one piece; raises what `stream` raises."""
        pieces: list[ModelEvent] = []
        events = self.stream(request, model=model, max_tokens=max_tokens, caller=caller, cache=cache, prompt=prompt)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Finished):
                    return Answer(_text(pieces), _tool_calls(pieces), event)
                pieces.append(event)
        raise UpstreamFailedError("The language model's answer has no end.")

    async def stream(  # noqa: PLR0913 - each is named where it is called
        self,
        request: ModelRequest,
        *,
        model: str,
        max_tokens: int | None,
        caller: Caller,
        cache: CacheWish | None = None,
        prompt: PromptChoice | None = None,
    ) -> AsyncGenerator[ModelEvent, None]:
        """Answer piece by piece; the last event is `Finished`. Closing the iterator stops the model.

        Raises:
            ForbiddenError: the caller may not ask.
            ModelNotFoundError: there is no such model.
            UnsupportedParameterError: the answer may not be that long or kept, or the model cannot do what is asked.
            CallerError: the prompt cannot be used like that.
            GuardrailRefusedError: a check refuses the request, or the answer, perhaps in the middle of it.
            RefusedByModelError: the model's provider finds fault with the request.
            TooManyRequestsError: a limit of the caller is reached for now, or the month's budget.
            PayloadTooLargeError: the request can never be within the caller's limits.
            UpstreamError: the model failed, perhaps in the middle of the answer.
        """
        caller.require(Scope.CHAT)
        language_model = self.find_model(model)
        longest = self._longest_answer(max_tokens, caller)
        seconds = self._seconds_to_keep(request, model, cache)
        request, filled = await self._put_under(prompt, request, caller)
        guardrails = self.guardrails.of(model)
        await check_request(request, guardrails, owner=caller.id)
        request = replace(await redact_request(request, guardrails), max_tokens=longest)
        shape = await self._read_shape(request, guardrails)
        asked = _Asked(language_model, request, guardrails, shape, filled)
        async with self._from_cache(asked, model, seconds, caller) as events:
            async for event in events:
                yield event

    def _from_cache(self, asked: "_Asked", alias: str, seconds: int, caller: Caller) -> Answering:
        """Offer a kept answer if there may be one, and the model's otherwise."""
        answering: Answering = self._answering(asked, caller)
        if self.caching is None or not seconds:
            return answering
        checks = asked.guardrails.settings.model_dump(mode="json")
        key = answer_key(asked.request, alias=alias, model=asked.model, checks=checks, caller=caller)
        note = partial(meter_kept, endpoint=ENDPOINT, caller=caller, usage=self.usage, prompt=asked.prompt)
        return aclosing(self.caching.stream(key, seconds, answering, note))

    def _longest_answer(self, wanted: int | None, caller: Caller) -> int:
        most = self.usage.longest_answer(caller=caller) or self.settings.max_output_tokens
        if wanted is not None and wanted > most:
            raise UnsupportedParameterError(f"An answer may have at most {most} tokens here.", param="max_tokens")
        return wanted or most

    async def _put_under(
        self, prompt: PromptChoice | None, request: ModelRequest, caller: Caller
    ) -> tuple[ModelRequest, FilledPrompt | None]:
        """Have the model read the stored prompt before everything else."""
        if prompt is None:
            return request, None
        filled = await self.prompts.fill(prompt, caller=caller)
        add_response_headers({PROMPT_HEADER: f"{filled.name}@{filled.version}"})
        return replace(request, messages=[Message("system", filled.text), *request.messages]), filled

    def _seconds_to_keep(self, request: ModelRequest, model: str, wish: CacheWish | None) -> int:
        if self.caching is not None:
            return self.caching.seconds_for(request, model, wish)
        if wish is not None and wish.is_wanted:
            raise UnsupportedParameterError("This service keeps no answers.", param="cache")
        return 0

    async def _read_shape(self, request: ModelRequest, guardrails: Guardrails) -> Shape | None:
        """Read what the answer is to be held to, before a model is asked; None where nothing is."""
        is_checked = guardrails.settings.output.get(SCHEMA_CHECK, "off") != "off"
        if self.read_shape is None or request.response_format == "text" or not is_checked:
            return None
        try:
            return await asyncio.to_thread(self.read_shape, request.response_format)
        except SchemaRefusedError as error:
            raise UnsupportedParameterError(error.detail, param="response_format") from None

    @asynccontextmanager
    async def _answering(self, asked: "_Asked", caller: Caller) -> AsyncIterator[AsyncGenerator[ModelEvent, None]]:
        """Offer the model's answer, on the caller's account."""
        request, guardrails, usage = asked.request, asked.guardrails, self.usage
        answering = metered(asked.model, request, endpoint=ENDPOINT, caller=caller, usage=usage, prompt=asked.prompt)
        try:
            async with answering as answer:
                written = guarded(answer, guardrails, request, owner=caller.id)
                if asked.shape is not None:
                    written = shaped(written, asked.shape, guardrails, request, owner=caller.id)
                async with aclosing(written) as events:
                    yield events
        except RequestRefusedError as error:
            # The request is the caller's own: trying again, or asking somebody else, is of no use.
            raise RefusedByModelError(error.detail) from None


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that may be answered, as the model will see it, and what its answer is held to."""

    model: LanguageModel
    request: ModelRequest
    guardrails: Guardrails
    shape: Shape | None
    prompt: FilledPrompt | None


def _text(pieces: list[ModelEvent]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))


def _tool_calls(pieces: list[ModelEvent]) -> list[ToolCall]:
    """Put the pieces of each call together."""
    calls: dict[int, ToolCall] = {}
    for piece in pieces:
        if isinstance(piece, ToolCallDelta):
            known = calls.get(piece.index) or ToolCall(piece.id or "", piece.name or "", "")
            calls[piece.index] = replace(known, arguments=known.arguments + piece.arguments)
    return [calls[index] for index in sorted(calls)]
