"""Texts and the data in them, as the tests use them."""

import json
from collections.abc import Callable
from typing import Any

from tests.chat.fake_provider import Call

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"number": {"type": "string", "pattern": "^[0-9]{4}$"}, "total": {"type": "number", "minimum": 0}},
    "required": ["number", "total"],
    "additionalProperties": False,
}
TEXT = "Invoice 2041: two lamps, 84.50 in total."
DATA = {"number": "2041", "total": 84.5}
RIGHT = json.dumps(DATA)
WRONG = json.dumps({"number": 2041, "total": 84.5})
BODY = {"text": TEXT, "schema": SCHEMA}


def in_turn(*answers: str | int) -> Callable[[Call], str | int]:
    """Give one answer after the other; a number is the status of a refusal."""
    waiting = iter(answers)
    return lambda _: next(waiting)


def turns(call: Call) -> list[tuple[str, str]]:
    """Tell role and text of what a call to OpenAI's protocol holds."""
    return [(message["role"], message["content"]) for message in call.body["messages"]]
