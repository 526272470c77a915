"""The texts that a model reads of a tool or a JSON Schema."""

import json
from collections.abc import Mapping
from typing import Any


def texts_of(name: str, description: str | None, schema: Mapping[str, Any] | None) -> list[str]:
    """Return the name, the description, and the schema as JSON."""
    written = [unescaped(json.dumps(schema, ensure_ascii=False))] if schema else []
    return [name, *([description] if description else []), *written]


def unescaped(written: str) -> str:
    """Replace escaped line breaks in JSON with real ones: the escape would join with the next word or number."""
    return written.replace("\\n", "\n")
