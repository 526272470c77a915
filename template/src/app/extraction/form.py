"""The caller's JSON Schema (draft 2020-12): checked before anything is asked, applied to what a model answers."""

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
from app.extraction.unfolding import Unfolding

DIALECT = "https://json-schema.org/draft/2020-12/schema"
MOST_BYTES = 65_536
MOST_PARTS = 2000
MOST_TYPES = 7  # as many as there are
MOST_FAULTS = 10
LONGEST_MESSAGE = 300
LONGEST_CHECK = 1.0  # seconds of a processor
WHOLE = "$"  # the place of data as a whole, as JSONPath writes it


class Fault(NamedTuple):
    """One thing that is wrong, and where, as JSONPath."""

    location: str
    message: str


class _TimeIsUpError(Exception):
    """A check takes longer than it may."""


@dataclass(frozen=True, slots=True)
class Form:
    """A schema that is fit to be used.

    Attributes:
        schema: as the caller sent it.
    """

    schema: Mapping[str, Any]
    _inner: Mapping[str, Any]
    _keywords: Mapping[str, Keyword]

    def faults(self, data: Any) -> list[Fault]:  # noqa: ANN401 - whatever JSON holds
        """Say where data does not fit, ten places at most; it takes up to a second, so call it in a thread.

        What takes longer to check is a fault too.
        """
        end = time.thread_time() + LONGEST_CHECK
        keywords = {word: _timed(keyword, end) for word, keyword in self._keywords.items()}
        checks: type[Validator] = extend(Draft202012Validator, keywords)  # type: ignore[no-untyped-call]
        # An empty registry holds nothing and fetches nothing.
        errors = checks(self._inner, registry=Registry()).iter_errors(data)
        try:
            return [Fault(_cut(error.json_path), _cut(error.message)) for error in islice(errors, MOST_FAULTS)]
        except _TimeIsUpError:
            return [Fault(WHOLE, "This takes too long to check: a simpler schema, or less data, takes less.")]


def read_form(schema: Mapping[str, Any]) -> Form:
    """Check a schema; it takes time, so call it in a thread.

    Raises:
        SchemaRefusedError: it is not a JSON Schema, not that of an object, or more than the service takes.
    """
    _check_size(schema)
    _check_parts(schema)
    if schema.get("$schema", DIALECT) != DIALECT:
        raise SchemaRefusedError(f"`$schema` is {DIALECT} here, or left out.")
    inner = {word: value for word, value in schema.items() if word != "$schema"}
    try:
        # Without formats: the library would have Python read the patterns, which are another engine's.
        Draft202012Validator.check_schema(inner, format_checker=FormatChecker(()))
    except SchemaError as error:
        raise SchemaRefusedError(f"This is no JSON Schema: {_cut(error.json_path)}: {_cut(error.message)}") from None
    except RecursionError:
        raise SchemaRefusedError("The schema is nested too deep.") from None
    if inner.get("type") != "object":
        raise SchemaRefusedError('The schema has to say `"type": "object"` at the top.')
    unfolding = Unfolding(inner)
    unfolding.measure()
    return Form(schema, inner, {**Draft202012Validator.VALIDATORS, **own_keywords(unfolding.patterns)})


def _check_size(schema: Mapping[str, Any]) -> None:
    try:
        size = len(json.dumps(schema, ensure_ascii=False, allow_nan=False).encode())
    except (ValueError, RecursionError):
        raise SchemaRefusedError("This is not JSON that can be passed on.") from None
    if not is_in_range(schema):
        raise SchemaRefusedError("The schema holds a number that is out of range.")
    if size > MOST_BYTES:
        raise SchemaRefusedError(f"The schema has {size:,} bytes; {MOST_BYTES:,} are the most.")


def _check_parts(schema: Mapping[str, Any]) -> None:
    """Count what could be a schema before the library looks, which takes its time with each."""
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
    """Let a check of a whole end where one keyword of it would begin too late."""

    def timed(*given: Any) -> Iterator[ValidationError]:  # noqa: ANN401 - as the library calls it
        if time.thread_time() > end:
            raise _TimeIsUpError
        return keyword(*given)

    return timed


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…"
