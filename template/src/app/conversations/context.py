"""The context that a model is sent: the system prompt and the newest messages that fit."""

import math
from collections.abc import Sequence

from app.chat.metering import CHARACTERS_PER_TOKEN
from app.chat.ports import Message
from app.conversations.models import ConversationMessage
from app.errors import UnprocessableError


def fit_context(system: str | None, newest_first: Sequence[ConversationMessage], most_tokens: int) -> list[Message]:
    """Return the messages for the model, oldest first.

    They are the system prompt, the newest message, and those before it, back to the first that no longer fits. Empty
    messages are dropped, and so is an answer whose question is not sent.

    Raises:
        UnprocessableError: the system prompt and the newest message alone exceed `most_tokens`.
    """
    left = most_tokens - estimate_tokens(system or "")
    kept: list[Message] = []
    for message in newest_first:
        left -= estimate_tokens(message.content)
        if left < 0:
            break
        if message.content:
            kept.append(Message("assistant" if message.role == "assistant" else "user", message.content))
    if not kept:
        raise UnprocessableError(f"The system prompt and the message have more than {most_tokens} tokens, by estimate.")
    while kept[-1].role == "assistant":
        kept.pop()
    return [*([Message("system", system)] if system else []), *reversed(kept)]


def estimate_tokens(text: str) -> int:
    """Estimate the tokens of a text from its length, as metering does if the provider reports none."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)
