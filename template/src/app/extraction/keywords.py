"""Replacements for JSON Schema keywords whose library implementation can take unbounded time or memory."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator, core_schema

from app.errors import SchemaRefusedError

MOST_PATTERNS = 20
LONGEST_PATTERN = 200
# The slowest patterns take 0.1 ms per character, and block all other threads meanwhile.
LONGEST_MATCHED = 10_000

# Arguments: the validator, the keyword's value, the value to check, and the enclosing schema.
Keyword = Callable[[Validator, Any, Any, Any], Iterator[ValidationError]]


def own_keywords(patterns: set[str]) -> dict[str, Keyword]:
    """Return the replaced keywords for a schema with these patterns.

    Raises:
        SchemaRefusedError: a pattern is invalid, too large or not supported by the engine, or there are too many.
    """
    return {"anyOf": _any_of, "oneOf": _one_of, "pattern": _pattern_of(patterns), "uniqueItems": _unique_items}


def _pattern_of(patterns: set[str]) -> Keyword:
    """Check `pattern` with a linear-time engine: expressions in Python's engine can hang."""
    if len(patterns) > MOST_PATTERNS:
        raise SchemaRefusedError(f"The schema has {len(patterns)} different patterns; {MOST_PATTERNS} are the most.")
    engines = {pattern: _compile(pattern) for pattern in patterns}

    def match(_: Validator, pattern: str, value: object, __: Mapping[str, Any]) -> Iterator[ValidationError]:
        if not isinstance(value, str):
            return
        if len(value) > LONGEST_MATCHED:
            yield ValidationError(f"is too long for a pattern: {LONGEST_MATCHED:,} characters are the most")
        elif not engines[pattern].isinstance_python(value):
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


def _any_of(validator: Validator, schemas: list[Any], value: object, _: Mapping[str, Any]) -> Iterator[ValidationError]:
    """Check `anyOf`, stopping at the first error of each schema; the library collects all errors of all schemas."""
    if not any(_fits(validator, schema, value) for schema in schemas):
        yield ValidationError(f"{value!r} is not valid under any of the given schemas")


def _one_of(validator: Validator, schemas: list[Any], value: object, _: Mapping[str, Any]) -> Iterator[ValidationError]:
    """Check `oneOf`, stopping at the first error of each schema."""
    fitting = sum(_fits(validator, schema, value) for schema in schemas)
    if fitting == 0:
        yield ValidationError(f"{value!r} is not valid under any of the given schemas")
    elif fitting > 1:
        yield ValidationError(f"{value!r} is valid under {fitting} of the given schemas, and may be under one alone")


def _fits(validator: Validator, schema: Any, value: Any) -> bool:  # noqa: ANN401 - whatever JSON holds
    return validator.evolve(schema=schema).is_valid(value)


def _unique_items(_: Validator, wanted: bool, value: object, __: Mapping[str, Any]) -> Iterator[ValidationError]:  # noqa: FBT001 - the keyword's value
    """Check `uniqueItems` by hashing; the library compares all pairs."""
    if wanted and isinstance(value, list) and len({_hashable(item) for item in value}) < len(value):
        yield ValidationError("there are equal items")


def _hashable(value: object) -> object:
    """Convert a value so that Python's equality matches that of JSON, for example `true` is not 1."""
    match value:
        case dict():
            return "object", frozenset((name, _hashable(item)) for name, item in value.items())
        case list():
            return "array", tuple(_hashable(item) for item in value)
        case bool() | str():
            return type(value).__name__, value
        case _:
            return value
