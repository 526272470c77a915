"""Holding answers in JSON to the shape that was asked for."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final
from uuid import UUID

from app.chat.ports import Finished, ModelEvent, ModelRequest, ResponseFormat, TextDelta
from app.chat.reviewing import ask_reviewer
from app.errors import GuardrailRefusedError
from app.guardrails.service import Guardrails
from app.guardrails.triggers import Trigger, report

CHECK: Final = "schema"

Shape = Callable[[str], str | None]
"""Says where a whole answer is wrong, without a word of it, or None; it takes time, so it is called in a thread."""

ReadShape = Callable[[ResponseFormat], Shape]
"""Reads what was asked for, in a thread as well; raises `SchemaRefusedError` where that is no JSON Schema."""


async def shaped(
    events: AsyncGenerator[ModelEvent, None],
    shape: Shape,
    guardrails: Guardrails,
    request: ModelRequest,
    *,
    owner: UUID,
) -> AsyncGenerator[ModelEvent, None]:
    """Pass a model's events on; where the model came to its own end, that is passed on only if the whole text fits.

    Raises:
        GuardrailRefusedError: the text does not fit, though it has been passed on.
        UnavailableError: a person should look at it, and the queue cannot be reached.
    """
    pieces = []
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TextDelta):
                pieces.append(event.text)
            elif isinstance(event, Finished) and event.reason == "stop":
                text = "".join(pieces)
                fault = await asyncio.to_thread(shape, text)
                if fault:
                    raise await ask_reviewer(_refuse(fault, guardrails), guardrails, request, text, owner=owner)
            yield event


def _refuse(fault: str, guardrails: Guardrails) -> GuardrailRefusedError:
    action = guardrails.settings.output[CHECK]
    report(Trigger(CHECK, "output", action, 1))
    return GuardrailRefusedError(
        f"The guardrail `{CHECK}` refuses this answer: {fault}.", for_review=action == "review"
    )
