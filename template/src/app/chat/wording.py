"""What a model reads of a function or a shape that it is given."""

import json
from collections.abc import Mapping
from typing import Any


def texts_of(name: str, description: str | None, schema: Mapping[str, Any] | None) -> list[str]:
    """Give the texts of it, the schema as JSON."""
    written = [unescaped(json.dumps(schema, ensure_ascii=False))] if schema else []
    return [name, *([description] if description else []), *written]


def unescaped(written: str) -> str:
    """Break the lines of texts in JSON: an escape would make one word with what follows it, such as a number."""
    return written.replace("\\n", "\n")
