"""The chat service: checks, limits, caching and metering around a language model."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

from app.auth.caller import Caller, Scope
from app.chat.answer_cache import answer_key
from app.chat.caching import Answering, CachePreference, Caching
from app.chat.guarding import check_request, guarded, redact_request
from app.chat.metering import meter_cached, metered
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
from app.chat.response_format import CHECK as SCHEMA_CHECK
from app.chat.response_format import FormatCheck, MakeFormatCheck, enforce_format
from app.chat.settings import ChatSettings
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
    """A complete answer: its text, tool calls and end."""

    text: str
    tool_calls: list[ToolCall]
    end: Finished


@dataclass(frozen=True, slots=True)
class ChatService:
    """Answers conversations within the caller's limits and records the usage.

    Attributes:
        language_models: models by every name under which they can be requested.
        caching: the answer cache; None disables it.
        make_format_check: compiles the requested JSON format into a check of the answer; None disables the check.
    """

    language_models: Mapping[str, LanguageModel]
    usage: UsageRecorder
    settings: ChatSettings
    prompts: PromptSource
    guardrails: Guardrails = field(default_factory=Guardrails)
    caching: Caching | None = None
    make_format_check: MakeFormatCheck | None = None

    def find_model(self, name: str) -> LanguageModel:
        """Return the language model of this name.

        Raises:
            ModelNotFoundError: there is no such model.
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
        cache: CachePreference | None = None,
        prompt: PromptChoice | None = None,
    ) -> Answer:
        """Return the complete answer; raises the same errors as `stream`."""
        pieces: list[ModelEvent] = []
        events = self.stream(request, model=model, max_tokens=max_tokens, caller=caller, cache=cache, prompt=prompt)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Finished):
                    return Answer(_text(pieces), _tool_calls(pieces), event)
                pieces.append(event)
        raise UpstreamFailedError("The language model's answer ended without a finish reason.")

    async def stream(  # noqa: PLR0913 - each is named where it is called
        self,
        request: ModelRequest,
        *,
        model: str,
        max_tokens: int | None,
        caller: Caller,
        cache: CachePreference | None = None,
        prompt: PromptChoice | None = None,
    ) -> AsyncGenerator[ModelEvent, None]:
        """Stream the answer; the last event is `Finished`. Closing the iterator stops the model.

        Raises:
            ForbiddenError: the caller lacks the scope for chat.
            ModelNotFoundError: there is no such model.
            UnsupportedParameterError: `max_tokens` or `cache` exceeds a limit, or the model does not support an option.
            CallerError: the stored prompt does not exist or is a draft, or its variables do not match.
            GuardrailRefusedError: a check refuses the request, or the answer, possibly after part of it was sent.
            RefusedByModelError: the model's provider rejects the request.
            TooManyRequestsError: a rate limit or the month's budget of the caller is exhausted.
            PayloadTooLargeError: the request alone exceeds a limit of the caller.
            UpstreamError: the model failed, possibly in the middle of the answer.
        """
        caller.require(Scope.CHAT)
        language_model = self.find_model(model)
        longest = self._longest_answer(max_tokens, caller)
        seconds = self._seconds_to_keep(request, model, cache)
        request, filled = await self._apply_prompt(prompt, request, caller)
        guardrails = self.guardrails.of(model)
        await check_request(request, guardrails, owner=caller.id)
        request = replace(await redact_request(request, guardrails), max_tokens=longest)
        format_check = await self._make_format_check(request, guardrails)
        prepared = _PreparedRequest(language_model, request, guardrails, format_check, filled)
        async with self._from_cache(prepared, model, seconds, caller) as events:
            async for event in events:
                yield event

    def _from_cache(self, prepared: "_PreparedRequest", alias: str, seconds: int, caller: Caller) -> Answering:
        """Return a context with the answer, from the cache if caching applies to this request."""
        answering: Answering = self._answering(prepared, caller)
        if self.caching is None or not seconds:
            return answering
        checks = prepared.guardrails.settings.model_dump(mode="json")
        key = answer_key(prepared.request, alias=alias, model=prepared.model, checks=checks, caller=caller)
        note = partial(meter_cached, endpoint=ENDPOINT, caller=caller, usage=self.usage, prompt=prepared.prompt)
        return aclosing(self.caching.stream(key, seconds, answering, note))

    def _longest_answer(self, wanted: int | None, caller: Caller) -> int:
        most = self.usage.longest_answer(caller=caller) or self.settings.max_output_tokens
        if wanted is not None and wanted > most:
            raise UnsupportedParameterError(f"An answer may have at most {most} tokens here.", param="max_tokens")
        return wanted or most

    async def _apply_prompt(
        self, prompt: PromptChoice | None, request: ModelRequest, caller: Caller
    ) -> tuple[ModelRequest, FilledPrompt | None]:
        """Insert the stored prompt, if any, as the first message."""
        if prompt is None:
            return request, None
        filled = await self.prompts.fill(prompt, caller=caller)
        add_response_headers({PROMPT_HEADER: f"{filled.name}@{filled.version}"})
        return replace(request, messages=[Message("system", filled.text), *request.messages]), filled

    def _seconds_to_keep(self, request: ModelRequest, model: str, preference: CachePreference | None) -> int:
        if self.caching is not None:
            return self.caching.seconds_for(request, model, preference)
        if preference is not None and preference.is_enabled:
            raise UnsupportedParameterError("This service does not cache answers.", param="cache")
        return 0

    async def _make_format_check(self, request: ModelRequest, guardrails: Guardrails) -> FormatCheck | None:
        """Return the check of the answer's JSON format; None if there is nothing to check."""
        is_checked = guardrails.settings.output.get(SCHEMA_CHECK, "off") != "off"
        if self.make_format_check is None or request.response_format == "text" or not is_checked:
            return None
        try:
            return await asyncio.to_thread(self.make_format_check, request.response_format)
        except SchemaRefusedError as error:
            raise UnsupportedParameterError(error.detail, param="response_format") from None

    @asynccontextmanager
    async def _answering(
        self, prepared: "_PreparedRequest", caller: Caller
    ) -> AsyncIterator[AsyncGenerator[ModelEvent, None]]:
        """Yield the model's answer, metered and checked."""
        request, guardrails, usage, prompt = prepared.request, prepared.guardrails, self.usage, prepared.prompt
        answering = metered(prepared.model, request, endpoint=ENDPOINT, caller=caller, usage=usage, prompt=prompt)
        try:
            async with answering as answer:
                written = guarded(answer, guardrails, request, owner=caller.id)
                if prepared.format_check is not None:
                    written = enforce_format(written, prepared.format_check, guardrails, request, owner=caller.id)
                async with aclosing(written) as events:
                    yield events
        except RequestRefusedError as error:
            # The caller wrote the request, so retries and other models would not help.
            raise RefusedByModelError(error.detail) from None


@dataclass(frozen=True, slots=True)
class _PreparedRequest:
    """A checked and redacted request with everything that is needed to answer it."""

    model: LanguageModel
    request: ModelRequest
    guardrails: Guardrails
    format_check: FormatCheck | None
    prompt: FilledPrompt | None


def _text(pieces: list[ModelEvent]) -> str:
    return "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))


def _tool_calls(pieces: list[ModelEvent]) -> list[ToolCall]:
    """Join the pieces of each call."""
    calls: dict[int, ToolCall] = {}
    for piece in pieces:
        if isinstance(piece, ToolCallDelta):
            known = calls.get(piece.index) or ToolCall(piece.id or "", piece.name or "", "")
            calls[piece.index] = replace(known, arguments=known.arguments + piece.arguments)
    return [calls[index] for index in sorted(calls)]
