"""Parsing and validation of a model's answer."""

from typing import Any

from pydantic_core import from_json

from app.extraction.compiled_schema import WHOLE, CompiledSchema, Fault
from app.extraction.number_range import is_in_range

FENCE = "```"


def judge(text: str, compiled: CompiledSchema) -> tuple[Any, list[Fault]]:
    """Parse an answer and return its data and errors; the data is None if it is unusable. Slow: call it in a thread."""
    try:
        data = from_json(_unfenced(text), allow_inf_nan=False)
    except ValueError as error:
        return None, [Fault(WHOLE, f"The answer is not JSON: {error}.")]
    if not is_in_range(data):
        return None, [Fault(WHOLE, "The answer holds a number that is out of range.")]
    return data, compiled.faults(data)


def _unfenced(text: str) -> str:
    """Remove the code fence that models often put around JSON."""
    text = text.strip()
    if not (text.startswith(FENCE) and text.endswith(FENCE)) or "\n" not in text:
        return text
    return text.partition("\n")[2].removesuffix(FENCE)
