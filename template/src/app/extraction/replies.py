"""What a model wrote, read as JSON and held against the form."""

from typing import Any

from pydantic_core import from_json

from app.extraction.form import WHOLE, Fault, Form
from app.extraction.number_range import is_in_range

FENCE = "```"


def judge(text: str, form: Form) -> tuple[Any, list[Fault]]:
    """Read an answer and say what is wrong with it; it takes time, so call it in a thread."""
    try:
        data = from_json(_unfenced(text), allow_inf_nan=False)
    except ValueError as error:
        return None, [Fault(WHOLE, f"The answer is not JSON: {error}.")]
    if not is_in_range(data):
        return None, [Fault(WHOLE, "The answer holds a number that is out of range.")]
    return data, form.faults(data)


def _unfenced(text: str) -> str:
    """Take away the one code fence that models like to put around JSON."""
    text = text.strip()
    if not (text.startswith(FENCE) and text.endswith(FENCE)) or "\n" not in text:
        return text
    return text.partition("\n")[2].removesuffix(FENCE)
