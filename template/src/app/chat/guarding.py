"""Guardrails around conversations: what a request says is checked and redacted, what a model says while it says it."""

import json
from collections.abc import AsyncGenerator, Hashable
from contextlib import aclosing
from dataclasses import replace

from app.chat.ports import Finished, Message, ModelEvent, ModelRequest, TextDelta, ToolCall
from app.guardrails.output import OutputGuard
from app.guardrails.personal_data import redact_values
from app.guardrails.service import Guardrails

NOT_TRUSTED = ("user", "tool")


async def check_request(request: ModelRequest, guardrails: Guardrails, *, owner: Hashable) -> None:
    """Pass if a model may be asked this.

    Raises:
        GuardrailRefusedError: a check refuses it.
        OverloadedError: a check cannot be made in time.
    """
    written = [message.content for message in request.messages if message.role in NOT_TRUSTED]
    calls = [call.arguments for message in request.messages for call in message.tool_calls]
    await guardrails.check_input([*(message.content for message in request.messages), *calls], written, owner=owner)


def redact_request(request: ModelRequest, guardrails: Guardrails) -> ModelRequest:
    """Take out what the model must not see, whoever wrote it."""
    if not guardrails.redacts_input:
        return request
    messages = [
        replace(message, content=guardrails.redact_input(message.content), tool_calls=_redacted_calls(message))
        for message in request.messages
    ]
    sources = [replace(source, text=guardrails.redact_input(source.text)) for source in request.sources]
    return replace(request, messages=messages, sources=sources)


def guarded(events: AsyncGenerator[ModelEvent, None], guardrails: Guardrails) -> AsyncGenerator[ModelEvent, None]:
    """Pass a model's events on; text comes as soon as no check needs to see what follows it.

    Raises:
        GuardrailRefusedError: the answer must not be given, perhaps in the middle of it.
    """
    output = guardrails.open_output()
    return events if output is None else _checked(events, output)


async def _checked(events: AsyncGenerator[ModelEvent, None], output: OutputGuard) -> AsyncGenerator[ModelEvent, None]:
    async with aclosing(events):
        async for event in events:
            text = ""
            if isinstance(event, TextDelta):
                text = output.feed(event.text)
            elif isinstance(event, Finished):
                text = output.feed("", is_whole=True)
            if text:
                yield TextDelta(text)
            if not isinstance(event, TextDelta):
                yield event


def _redacted_calls(message: Message) -> list[ToolCall]:
    return [replace(call, arguments=_redacted_json(call.arguments)) for call in message.tool_calls]


def _redacted_json(written: str) -> str:
    """Redact the texts in a model's JSON, so that it stays JSON; redact all of it where it is none."""
    try:
        return json.dumps(redact_values(json.loads(written)), ensure_ascii=False)
    except (ValueError, RecursionError):
        return str(redact_values(written))
