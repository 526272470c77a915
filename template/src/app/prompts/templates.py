"""Prompt templates: text with `{variables}`; a literal brace is written twice.

Templates are parsed like those of `str.format`, but never formatted: a placeholder is a plain name without attributes,
indexes or conversions, so a template can only access the values that it is given.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from string import Formatter

from app.errors import UnprocessableError

VARIABLE = r"^[a-z][a-z0-9_]{0,63}$"


def check_variables(text: str, declared: Collection[str]) -> None:
    """Check that a template uses exactly the declared variables.

    Raises:
        UnprocessableError: the variables differ, or the template is invalid.
    """
    used = {name for _, name in _parse(text) if name is not None}
    for name in sorted(used - set(declared)):
        raise UnprocessableError(f"The text uses the variable {name}, which is not declared.")
    for name in sorted(set(declared) - used):
        raise UnprocessableError(f"The variable {name} is declared, but the text does not use it.")


def fill(text: str, values: Mapping[str, str]) -> str:
    """Fill in the variables of a template; placeholders in the values are not replaced.

    Raises:
        UnprocessableError: a variable has no value, a value has no variable, or the template is invalid.
    """
    parts = list(_parse(text))
    used = {name for _, name in parts if name is not None}
    for name in sorted(used - set(values)):
        raise UnprocessableError(f"The prompt needs the variable {name}.")
    for name in sorted(set(values) - used):
        raise UnprocessableError(f"The prompt has no variable {name}.")
    return "".join(literal + ("" if name is None else values[name]) for literal, name in parts)


def _parse(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield each literal text of a template with the name of the variable after it, or None at the end."""
    try:
        parts = list(Formatter().parse(text))
    except ValueError:
        raise UnprocessableError("The text has a brace without its other half; write it twice to mean it.") from None
    for literal, name, specification, conversion in parts:
        if name is not None and (specification or conversion or not re.fullmatch(VARIABLE, name)):
            raise UnprocessableError(
                "A placeholder is a name of a-z, 0-9 and _ in braces; to mean braces, write them twice."
            )
        yield literal, name
