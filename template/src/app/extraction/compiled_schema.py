"""The caller's JSON Schema (draft 2020-12): its validation, and the validation of data against it."""

import json
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from referencing import Registry

from app.errors import SchemaRefusedError
from app.extraction.keywords import Keyword, own_keywords
from app.extraction.number_range import is_in_range
from app.extraction.unfolding import SchemaExpansion

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MOST_BYTES = 65_536
MOST_PARTS = 2000
MOST_TYPES = 7  # JSON Schema has no more
MOST_FAULTS = 10
LONGEST_MESSAGE = 300
LONGEST_CHECK = 1.0  # seconds of CPU time
WHOLE = "$"  # JSONPath of the whole document


class Fault(NamedTuple):
    """An error and its location as JSONPath."""

    location: str
    message: str


class _TimeIsUpError(Exception):
    """Validation exceeded its time limit."""


@dataclass(frozen=True, slots=True)
class CompiledSchema:
    """A valid schema, ready to check data.

    Attributes:
        schema: the unmodified schema of the caller.
    """

    schema: Mapping[str, Any]
    _inner: Mapping[str, Any]
    _keywords: Mapping[str, Keyword]

    def faults(self, data: Any) -> list[Fault]:  # noqa: ANN401 - whatever JSON holds
        """Return at most ten errors of data against the schema. Takes up to a second of CPU time: call it in a thread.

        Exceeding that time is an error as well.
        """
        end = time.thread_time() + LONGEST_CHECK
        keywords = {word: _timed(keyword, end) for word, keyword in self._keywords.items()}
        checks: type[Validator] = extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call]
        # An empty registry prevents references from being fetched.
        errors = checks(self._inner, registry=Registry()).iter_errors(data)
        try:
            return [Fault(_cut(error.json_path), _cut(error.message)) for error in islice(errors, MOST_FAULTS)]
        except _TimeIsUpError:
            return [Fault(WHOLE, "This takes too long to check: a simpler schema, or less data, takes less.")]


def compile_schema(schema: Mapping[str, Any]) -> CompiledSchema:
    """Check and compile a schema. Slow: call it in a thread.

    Raises:
        SchemaRefusedError: it is not a JSON Schema of an object, uses unsupported keywords, or is too large.
    """
    _check_size(schema)
    _check_parts(schema)
    if schema.get("$schema", DIALECT) != DIALECT:
        raise SchemaRefusedError(f"`$schema` is {DIALECT} here, or left out.")
    inner = {word: value for word, value in schema.items() if word != "$schema"}
    try:
        # No format checks: the library would compile `pattern` with Python's engine, but another one is used here.
        Draft202012Validator.check_schema(inner, format_checker=FormatChecker(()))
    except SchemaError as error:
        raise SchemaRefusedError(f"This is no JSON Schema: {_cut(error.json_path)}: {_cut(error.message)}") from None
    except RecursionError:
        raise SchemaRefusedError("The schema is nested too deep.") from None
    if inner.get("type") != "object":
        raise SchemaRefusedError('The schema has to say `"type": "object"` at the top.')
    expansion = SchemaExpansion(inner)
    expansion.measure()
    return CompiledSchema(schema, inner, {**Draft202012Validator.VALIDATORS, **own_keywords(expansion.patterns)})


def _check_size(schema: Mapping[str, Any]) -> None:
    try:
        size = len(json.dumps(schema, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError):
        raise SchemaRefusedError("This is not valid JSON.") from None
    if not is_in_range(schema):
        raise SchemaRefusedError("The schema holds a number that is out of range.")
    if size > MOST_BYTES:
        raise SchemaRefusedError(f"The schema has {size:,} bytes; {MOST_BYTES:,} are the most.")


def _check_parts(schema: Mapping[str, Any]) -> None:
    """Limit the number of possible subschemas before the library checks each of them, which is slow."""
    count, waiting = 0, deque[Any]([schema])
    while waiting:
        part = waiting.pop()
        count += isinstance(part, dict | bool)
        if isinstance(part, list):
            waiting.extend(part)
        if not isinstance(part, dict):
            continue
        waiting.extend(part.values())
        types = part.get("type")
        if isinstance(types, list) and len(types) > MOST_TYPES:
            raise SchemaRefusedError(f"A `type` names {len(types)} types; there are {MOST_TYPES}.")
    if count > MOST_PARTS:
        raise SchemaRefusedError(f"The schema has {count:,} objects and booleans; {MOST_PARTS:,} are the most.")


def _timed(keyword: Keyword, end: float) -> Keyword:
    """Wrap a keyword so that it raises once the time limit has passed."""

    def timed(*given: Any) -> Iterator[ValidationError]:  # noqa: ANN401 - as the library calls it
        if time.thread_time() > end:
            raise _TimeIsUpError
        return keyword(*given)

    return timed


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…"
