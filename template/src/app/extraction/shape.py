"""The form that chat answers are held to: the caller's JSON Schema, read as that of an extraction is."""

from collections.abc import Callable

from pydantic_core import from_json

from app.chat.ports import JsonSchema, ResponseFormat
from app.extraction.form import WHOLE, read_form


def read_shape(wanted: ResponseFormat) -> Callable[[str], str | None]:
    """Make a function that says where a text is not the JSON that is wanted, None if it is; both take time.

    Raises:
        SchemaRefusedError: the schema is none, or more than the service takes.
    """
    form = read_form(wanted.schema if isinstance(wanted, JsonSchema) else {"type": "object"})

    def find_fault(text: str) -> str | None:
        try:
            data = from_json(text, allow_inf_nan=False)
        except ValueError:
            return f"{WHOLE} is not JSON"
        places = dict.fromkeys(fault.location for fault in form.faults(data))
        return f"{', '.join(places)} does not fit" if places else None

    return find_fault
