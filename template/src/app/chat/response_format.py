"""Checking complete answers against the requested JSON format."""

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

FormatCheck = Callable[[str], str | None]
"""Returns what is wrong with a complete answer, without quoting it, or None. Slow: call it in a thread."""

MakeFormatCheck = Callable[[ResponseFormat], FormatCheck]
"""Compiles a format into a check. Slow: call it in a thread. Raises `SchemaRefusedError` for an invalid schema."""


async def enforce_format(
    events: AsyncGenerator[ModelEvent, None],
    check: FormatCheck,
    guardrails: Guardrails,
    request: ModelRequest,
    *,
    owner: UUID,
) -> AsyncGenerator[ModelEvent, None]:
    """Yield a model's events; yield a `Finished` with the reason `stop` only if the complete text passes the check.

    Raises:
        GuardrailRefusedError: the text does not match the format; it has already been yielded.
        UnavailableError: the refusal needs a review, and the review queue is unreachable.
    """
    pieces = []
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TextDelta):
                pieces.append(event.text)
            elif isinstance(event, Finished) and event.reason == "stop":
                text = "".join(pieces)
                fault = await asyncio.to_thread(check, text)
                if fault:
                    raise await ask_reviewer(_refuse(fault, guardrails), guardrails, request, text, owner=owner)
            yield event


def _refuse(fault: str, guardrails: Guardrails) -> GuardrailRefusedError:
    action = guardrails.settings.output[CHECK]
    report(Trigger(CHECK, "output", action, 1))
    return GuardrailRefusedError(
        f"The guardrail `{CHECK}` refuses this answer: {fault}.", for_review=action == "review"
    )
