"""What a model reads of a conversation: the system prompt and the newest turns that fit."""

import math
from collections.abc import Sequence

from app.chat.metering import CHARACTERS_PER_TOKEN
from app.chat.ports import Message
from app.conversations.models import ConversationMessage
from app.errors import UnprocessableError


def fit_context(system: str | None, newest_first: Sequence[ConversationMessage], most_tokens: int) -> list[Message]:
    """Choose what is sent, in the order in which it was said.

    The system prompt and the newest message are always sent; then whole messages, back to the first that no longer
    fits. Messages without text say nothing to a model, and one that answers what is not sent is left out as well.

    Raises:
        UnprocessableError: the system prompt and the newest message alone have more tokens than that.
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
    """Guess the tokens of a text from its length, as metering does where a provider does not tell."""
    return math.ceil(len(text) / CHARACTERS_PER_TOKEN)
