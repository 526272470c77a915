"""The format check for chat answers: the caller's JSON Schema, with the same rules as for extractions."""

from collections.abc import Callable

from pydantic_core import from_json

from app.chat.ports import JsonSchema, ResponseFormat
from app.extraction.compiled_schema import WHOLE, compile_schema


def make_format_check(wanted: ResponseFormat) -> Callable[[str], str | None]:
    """Return a function that says where a text does not match the format, or None. Both are slow: use a thread.

    Raises:
        SchemaRefusedError: the schema is invalid, unsupported or too large.
    """
    compiled = compile_schema(wanted.schema if isinstance(wanted, JsonSchema) else {"type": "object"})

    def find_fault(text: str) -> str | None:
        try:
            data = from_json(text, allow_inf_nan=False)
        except ValueError:
            return f"{WHOLE} is not JSON"
        places = dict.fromkeys(fault.location for fault in compiled.faults(data))
        return f"{', '.join(places)} does not fit" if places else None

    return find_fault
