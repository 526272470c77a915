"""Submission of guardrail refusals to the review queue."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from app.chat.ports import Message, ModelRequest
from app.errors import GuardrailRefusedError
from app.guardrails.personal_data import redact_personal_data
from app.guardrails.service import Guardrails, process_texts

MOST_MESSAGES = 50
MOST_CHARACTERS = 20_000  # of all messages together; the same limit applies to the answer


async def ask_reviewer(
    refusal: GuardrailRefusedError, guardrails: Guardrails, request: ModelRequest, written: str | None, *, owner: UUID
) -> GuardrailRefusedError:
    """Submit a refusal for review if the check asks for one, and return the refusal for the caller.

    Only the end of the conversation is stored. It is redacted if the guardrails redact input.

    Args:
        refusal: the refusal as the check raised it.
        guardrails: the guardrails that refused.
        request: the request that the model got or would have got.
        written: the text of the model so far, redacted if configured; None if the model was not called.
        owner: account of the caller.

    Raises:
        UnavailableError: the review queue is unreachable.
    """
    if not refusal.for_review or guardrails.desk is None:
        return refusal
    rules = f" What it found: {', '.join(refusal.reasons)}." if refusal.reasons else ""
    newest = partial(_newest, request.messages, redacted=guardrails.redacts_input)
    given = await process_texts(newest, request.texts)
    output = None if written is None else written[-MOST_CHARACTERS:]
    review_id = await guardrails.desk.submit(refusal.detail + rules, given, output, owner_id=owner)
    if review_id is None:
        return refusal
    return GuardrailRefusedError(f"{refusal.detail} It is in review: /v1/reviews/{review_id}", review_id=review_id)


def _newest(messages: Sequence[Message], *, redacted: bool) -> dict[str, Any]:
    kept: list[dict[str, str]] = []
    room = MOST_CHARACTERS
    for message in reversed(messages[-MOST_MESSAGES:]):
        text = "\n".join((message.content, *(call.arguments for call in message.tool_calls)))
        text = redact_personal_data(text) if redacted else text
        kept.insert(0, {"role": message.role, "content": text[:room]})
        room -= len(text)
        if room < 0:
            break
    return {"messages": kept, "is_whole": room >= 0 and len(messages) <= MOST_MESSAGES}
