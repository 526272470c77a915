"""The caller's JSON Schema (draft 2020-12): checked before anything is asked, applied to what a model answers."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator, core_schema
from referencing import Registry

from app.errors import SchemaRefusedError
from app.extraction.range import is_in_range
from app.extraction.unfolding import Unfolding

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MOST_BYTES = 65_536
MOST_PATTERNS = 20
LONGEST_PATTERN = 200
MOST_FAULTS = 10
LONGEST_MESSAGE = 300


class Fault(NamedTuple):
    """One thing that is wrong, and where, as JSONPath."""

    location: str
    message: str


@dataclass(frozen=True, slots=True)
class Form:
    """A schema that is fit to be used.

    Attributes:
        schema: as the caller sent it.
    """

    schema: Mapping[str, Any]
    _validator: Validator

    def faults(self, data: Any) -> list[Fault]:  # noqa: ANN401 - whatever JSON holds
        """Say where data does not fit, ten places at most; it takes time, so call it in a thread."""
        found = islice(self._validator.iter_errors(data), MOST_FAULTS)
        return [Fault(_cut(error.json_path), _cut(error.message)) for error in found]


def read_form(schema: Mapping[str, Any]) -> Form:
    """Check a schema; it takes time, so call it in a thread.

    Raises:
        SchemaRefusedError: it is not a JSON Schema, not that of an object, or more than the service takes.
    """
    _check_size(schema)
    if schema.get("$schema", DIALECT) != DIALECT:
        raise SchemaRefusedError(f"`$schema` is {DIALECT} here, or left out.")
    inner = {word: value for word, value in schema.items() if word != "$schema"}
    try:
        Draft202012Validator.check_schema(inner)
    except SchemaError as error:
        raise SchemaRefusedError(f"This is no JSON Schema: {_cut(error.json_path)}: {_cut(error.message)}") from None
    except RecursionError:
        raise SchemaRefusedError("The schema is nested too deep.") from None
    if inner.get("type") != "object":
        raise SchemaRefusedError('The schema has to say `"type": "object"` at the top.')
    unfolding = Unfolding(inner)
    unfolding.measure()
    words = {"pattern": _pattern_of(unfolding.patterns), "uniqueItems": _unique_items}
    # An empty registry holds nothing and fetches nothing.
    checks: type[Validator] = extend(Draft202012Validator, words)  # type: ignore[no-untyped-call]
    return Form(schema, checks(inner, registry=Registry()))


def _check_size(schema: Mapping[str, Any]) -> None:
    try:
        size = len(json.dumps(schema, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError):
        raise SchemaRefusedError("This is not JSON that can be passed on.") from None
    if not is_in_range(schema):
        raise SchemaRefusedError("The schema holds a number that is out of range.")
    if size > MOST_BYTES:
        raise SchemaRefusedError(f"The schema has {size:,} bytes; {MOST_BYTES:,} are the most.")


def _pattern_of(patterns: set[str]) -> Any:  # noqa: ANN401 - a keyword as the library takes it
    """Make the keyword `pattern` of an engine that takes linear time: expressions of Python's own can be made to hang.

    Raises:
        SchemaRefusedError: an expression is wrong, too large, or needs what that engine does not have.
    """
    if len(patterns) > MOST_PATTERNS:
        raise SchemaRefusedError(f"The schema has {len(patterns)} different patterns; {MOST_PATTERNS} are the most.")
    engines = {pattern: _compile(pattern) for pattern in patterns}

    def match(_: Validator, pattern: str, value: object, __: Mapping[str, Any]) -> Iterator[ValidationError]:
        if isinstance(value, str) and not engines[pattern].isinstance_python(value):
            yield ValidationError(f"{value!r} does not match {pattern!r}")

    return match


def _compile(pattern: str) -> SchemaValidator:
    if len(pattern) > LONGEST_PATTERN:
        raise SchemaRefusedError(f"A pattern has {len(pattern)} characters; {LONGEST_PATTERN} are the most.")
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except PatternError:
        raise SchemaRefusedError(
            f"The pattern {pattern!r} is wrong or not offered: there is no looking around, "
            "no reference back, and no repetition that makes it huge."
        ) from None


def _unique_items(_: Validator, wanted: bool, value: object, __: Mapping[str, Any]) -> Iterator[ValidationError]:  # noqa: FBT001 - the keyword's value
    """Check `uniqueItems` by hashing; the library compares each with each."""
    if wanted and isinstance(value, list) and len({_hashable(item) for item in value}) < len(value):
        yield ValidationError("there are equal items")


def _hashable(value: object) -> object:
    """Make values that are equal in JSON equal in Python, and no others."""
    match value:
        case dict():
            return "object", frozenset((name, _hashable(item)) for name, item in value.items())
        case list():
            return "array", tuple(_hashable(item) for item in value)
        case bool() | str():
            return type(value).__name__, value
        case _:
            return value


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…"
