"""Fitting a context: the system prompt and the newest messages that fit, unsplit and in order."""

from uuid import uuid4

import pytest

from app.chat.ports import Message
from app.conversations.context import estimate_tokens, fit_context
from app.conversations.models import ConversationMessage
from app.errors import UnprocessableError


def said(*contents: str) -> list[ConversationMessage]:
    """Return messages of user and assistant in turn, the user last; the newest comes first."""
    newest_first = list(reversed(contents))
    roles = ["user" if number % 2 == 0 else "assistant" for number in range(len(contents))]
    return [
        ConversationMessage(id=uuid4(), role=role, content=content)
        for role, content in zip(roles, newest_first, strict=True)
    ]


def test_everything_is_sent_in_order_where_it_fits() -> None:
    context = fit_context("Be brief.", said("One?", "1", "Two?"), 100)
    assert context == [
        Message("system", "Be brief."),
        Message("user", "One?"),
        Message("assistant", "1"),
        Message("user", "Two?"),
    ]


def test_old_messages_go_first_and_none_is_split() -> None:
    messages = said("a" * 40, "b" * 40, "c" * 40, "d" * 40, "e" * 40)
    assert [message.content[0] for message in fit_context(None, messages, 30)] == ["c", "d", "e"]
    assert [message.content for message in fit_context(None, messages, 19)] == ["e" * 40]


def test_an_answer_is_not_sent_without_what_it_answers() -> None:
    messages = said("a" * 40, "b" * 40, "c" * 40)
    assert [message.content[0] for message in fit_context(None, messages, 20)] == ["c"]


def test_the_system_prompt_stays_and_takes_its_part() -> None:
    messages = said("a" * 40, "b" * 40, "c" * 40)
    context = fit_context("s" * 40, messages, 30)
    assert [message.role for message in context] == ["system", "user"]


def test_what_fits_behind_a_message_that_does_not_is_left_out_too() -> None:
    assert [message.content for message in fit_context(None, said("a", "b" * 400, "c"), 20)] == ["c"]


def test_answers_without_a_word_are_left_out() -> None:
    assert [message.content for message in fit_context(None, said("One?", "", "Two?"), 100)] == ["One?", "Two?"]


def test_a_message_that_cannot_fit_is_refused() -> None:
    assert fit_context("s" * 40, said("a" * 40), 20)
    with pytest.raises(UnprocessableError, match="more than 20 tokens"):
        fit_context("s" * 40, said("a" * 41), 20)


def test_the_estimate_rounds_up() -> None:
    assert [estimate_tokens("x" * length) for length in (0, 1, 4, 5)] == [0, 1, 1, 2]
