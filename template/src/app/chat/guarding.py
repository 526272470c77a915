"""Guardrails around conversations: what a request says is checked and redacted, what a model says while it says it."""

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
from app.guardrails.service import Guardrails, read_beside

NOT_TRUSTED = ("user", "tool")

Described = TypeVar("Described", Tool, JsonSchema)


async def check_request(request: ModelRequest, guardrails: Guardrails, *, owner: UUID, is_retry: bool = False) -> None:
    """Pass if a model may be asked this.

    Args:
        request: what it would be asked.
        guardrails: those of the model.
        owner: who asks.
        is_retry: that a user has said nothing since it was asked before.

    Raises:
        GuardrailRefusedError: a check refuses it.
        OverloadedError: a check cannot be made in time.
        UnavailableError: a person should look at it, and the queue cannot be reached.
    """
    written = [message.content for message in request.messages if message.role in NOT_TRUSTED]
    said = [message.content for message in request.messages if message.role == "user" and not is_retry]
    try:
        await guardrails.check_input(request.texts, written, said[-1] if said else None, owner=owner)
    except GuardrailRefusedError as refusal:
        raise await ask_reviewer(refusal, guardrails, request, None, owner=owner) from None


async def redact_request(request: ModelRequest, guardrails: Guardrails) -> ModelRequest:
    """Take out what the model must not see, whoever wrote it.

    Names and schemas stay as they are: what the model writes has to fit them.
    """
    if not guardrails.redacts_input:
        return request
    texts = [*request.texts, *(source.text for source in request.sources)]
    return await read_beside(partial(_redacted, request, guardrails), texts)


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
    """Pass a model's events on; text comes as soon as no check needs to see what follows it.

    A refusal is thrown into the events before it is raised, so that who measures them knows why they end.

    Raises:
        GuardrailRefusedError: the answer must not be given, perhaps in the middle of it.
        UnavailableError: a person should look at it, and the queue cannot be reached.
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
                seen = await read_beside(output.redacted, output.pieces)
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
    """Redact the texts in a model's JSON, so that it stays JSON; redact all of it where it is none."""
    try:
        return json.dumps(redact_values(json.loads(written)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return str(redact_values(written))
