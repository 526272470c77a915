"""What a guardrail refuses, put before a person where the settings say so."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from uuid import UUID

from app.chat.ports import Message, ModelRequest
from app.errors import GuardrailRefusedError
from app.guardrails.personal_data import redact_personal_data
from app.guardrails.service import Guardrails, read_beside

MOST_MESSAGES = 50
MOST_CHARACTERS = 20_000  # of the messages together, and again of the answer


async def ask_reviewer(
    refusal: GuardrailRefusedError, guardrails: Guardrails, request: ModelRequest, written: str | None, *, owner: UUID
) -> GuardrailRefusedError:
    """Have a person look at what was refused, if that is set; give the refusal as the caller is to see it.

    What is kept of the conversation is its end. Where prompts are redacted, it is redacted, too.

    Args:
        refusal: as the check raised it.
        guardrails: whose check it is.
        request: what the model was asked, or would have been.
        written: what it has written, redacted where that is set; None if it was not asked.
        owner: who asked.

    Raises:
        UnavailableError: the queue cannot be reached.
    """
    if not refusal.for_review or guardrails.desk is None:
        return refusal
    rules = f" What it found: {', '.join(refusal.reasons)}." if refusal.reasons else ""
    newest = partial(_newest, request.messages, redacted=guardrails.redacts_input)
    given = await read_beside(newest, request.texts)
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
