"""An invoice text, its schema and the data in it, and helpers for the fake provider."""

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
    """Return an answer function that gives one answer per call; a number is the status of a refusal."""
    waiting = iter(answers)
    return lambda _: next(waiting)


def turns(call: Call) -> list[tuple[str, str]]:
    """Return the role and text of each message in a call in OpenAI's protocol."""
    return [(message["role"], message["content"]) for message in call.body["messages"]]
