"""Guardrails for chat: requests are checked and redacted before the model is called, answers while they stream."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace
from functools import partial
from typing import TypeVar
from uuid import UUID

from app.chat.ports import Finished, JsonSchema, Message, ModelEvent, ModelRequest, TextDelta, Tool, ToolCall
from app.chat.reviewing import ask_reviewer
from app.errors import GuardrailRefusedError
from app.guardrails.output import OutputGuard
from app.guardrails.personal_data import redact_values
from app.guardrails.service import Guardrails, process_texts

NOT_TRUSTED = ("user", "tool")

Described = TypeVar("Described", Tool, JsonSchema)


async def check_request(request: ModelRequest, guardrails: Guardrails, *, owner: UUID, is_retry: bool = False) -> None:
    """Check a request before a model is called.

    Args:
        request: the request to check.
        guardrails: the guardrails of the model.
        owner: account of the caller.
        is_retry: whether an earlier attempt already checked the topic of the last user message.

    Raises:
        GuardrailRefusedError: a check refuses the request.
        OverloadedError: a check cannot be completed in time.
        UnavailableError: the refusal needs a review, and the review queue is unreachable.
    """
    written = [message.content for message in request.messages if message.role in NOT_TRUSTED]
    said = [message.content for message in request.messages if message.role == "user" and not is_retry]
    try:
        await guardrails.check_input(request.texts, written, said[-1] if said else None, owner=owner)
    except GuardrailRefusedError as refusal:
        raise await ask_reviewer(refusal, guardrails, request, None, owner=owner) from None


async def redact_request(request: ModelRequest, guardrails: Guardrails) -> ModelRequest:
    """Redact messages, tool arguments, sources and descriptions, if the guardrails redact input.

    Names and schemas stay unchanged, because the model's output has to match them.
    """
    if not guardrails.redacts_input:
        return request
    texts = [*request.texts, *(source.text for source in request.sources)]
    return await process_texts(partial(_redacted, request, guardrails), texts)


def _redacted(request: ModelRequest, guardrails: Guardrails) -> ModelRequest:
    messages = [
        replace(message, content=guardrails.redact_input(message.content), tool_calls=_redacted_calls(message))
        for message in request.messages
    ]
    sources = [replace(source, text=guardrails.redact_input(source.text)) for source in request.sources]
    tools = [_redacted_part(tool, guardrails) for tool in request.tools]
    wanted = request.response_format
    shape = _redacted_part(wanted, guardrails) if isinstance(wanted, JsonSchema) else wanted
    return replace(request, messages=messages, sources=sources, tools=tools, response_format=shape)


def guarded(
    events: AsyncGenerator[ModelEvent, None], guardrails: Guardrails, request: ModelRequest, *, owner: UUID
) -> AsyncGenerator[ModelEvent, None]:
    """Yield a model's events; text is held back only while a check needs to see what follows it.

    A refusal is thrown into `events` before it is raised, so that metering records why the answer ended.

    Raises:
        GuardrailRefusedError: a check refuses the answer, possibly after part of it was sent.
        UnavailableError: the refusal needs a review, and the review queue is unreachable.
    """
    output = guardrails.open_output()
    return events if output is None else _checked(events, output, guardrails, request, owner)


async def _checked(
    events: AsyncGenerator[ModelEvent, None],
    output: OutputGuard,
    guardrails: Guardrails,
    request: ModelRequest,
    owner: UUID,
) -> AsyncGenerator[ModelEvent, None]:
    async with aclosing(events):
        async for event in events:
            try:
                text = _pass(event, output)
            except GuardrailRefusedError as refusal:
                with suppress(GuardrailRefusedError):
                    await events.athrow(refusal)
                seen = await process_texts(output.redacted, output.pieces)
                raise await ask_reviewer(refusal, guardrails, request, seen, owner=owner) from None
            if text:
                yield TextDelta(text)
            if not isinstance(event, TextDelta):
                yield event


def _pass(event: ModelEvent, output: OutputGuard) -> str:
    if isinstance(event, TextDelta):
        return output.feed(event.text)
    return output.feed("", is_whole=True) if isinstance(event, Finished) else ""


def _redacted_part(part: Described, guardrails: Guardrails) -> Described:
    description = guardrails.redact_input(part.description or "")
    return part if description == (part.description or "") else replace(part, description=description)


def _redacted_calls(message: Message) -> list[ToolCall]:
    return [replace(call, arguments=_redacted_json(call.arguments)) for call in message.tool_calls]


def _redacted_json(written: str) -> str:
    """Redact the strings in a JSON document; text that is not JSON is redacted as one string."""
    try:
        return json.dumps(redact_values(json.loads(written)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return str(redact_values(written))
