"""Expansion of a JSON Schema's references: measures the expanded size and rejects recursive schemas.

Each subschema of the expansion checks each value of an answer at most once.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from app.errors import SchemaRefusedError

# Keywords whose value is a schema, a list of them, or a map to them.
SINGLE = ("additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then")
LISTED = ("allOf", "anyOf", "oneOf", "prefixItems")
NAMED = ("dependentSchemas", "properties")
# These change what references mean, cost more than their size suggests, or match with expressions that can hang.
REFUSED = (
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$recursiveRef",
    "$schema",
    "patternProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
)
DEFINITIONS = ("$defs", "definitions")
REFERENCE_PARTS = 3  # "#", where the definitions are, the name

MOST_SUBSCHEMAS = 500
DEEPEST = 32


class SchemaExpansion:
    """Walks a schema from its root; measures of subschemas are cached, and their patterns are collected."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._extents: dict[int, tuple[int, int]] = {}
        self._followed: set[int] = set()
        self.patterns: set[str] = set()

    def measure(self) -> None:
        """Check that the expanded schema is finite and small enough.

        Raises:
            SchemaRefusedError: it has recursive or external references, is too large or too deep, or uses unsupported
                keywords.
        """
        size, _ = self._extent(self._root, "schema", 1)
        if size > MOST_SUBSCHEMAS:
            raise SchemaRefusedError(
                f"The schema has more than {MOST_SUBSCHEMAS} parts once its references are followed."
            )

    def _extent(self, schema: Any, place: str, level: int) -> tuple[int, int]:  # noqa: ANN401 - whatever JSON holds
        """Return the number of subschemas in the expansion of this one, itself included, and their depth."""
        if not isinstance(schema, dict):
            return 1, 1
        if id(schema) in self._followed:
            raise SchemaRefusedError(f"{place} leads back to itself: recursive schemas are not offered here.")
        if id(schema) not in self._extents:
            if level > DEEPEST:
                raise SchemaRefusedError(f"The schema is nested deeper than {DEEPEST} levels.")
            self._refuse(schema, place)
            self._followed.add(id(schema))
            parts = [self._extent(part, where, level + 1) for part, where in self._parts(schema, place)]
            self._followed.remove(id(schema))
            self._extents[id(schema)] = (
                1 + sum(size for size, _ in parts),
                1 + max((deep for _, deep in parts), default=0),
            )
        size, depth = self._extents[id(schema)]
        if level + depth - 1 > DEEPEST:
            raise SchemaRefusedError(f"The schema is nested deeper than {DEEPEST} levels.")
        return size, depth

    def _parts(self, schema: dict[str, Any], place: str) -> Iterator[tuple[Any, str]]:
        for word in SINGLE:
            if word in schema:
                yield schema[word], f"{place}.{word}"
        for word in LISTED:
            for number, part in enumerate(schema.get(word, ())):
                yield part, f"{place}.{word}[{number}]"
        for word in NAMED:
            for name, part in schema.get(word, {}).items():
                yield part, f"{place}.{word}.{name}"
        if "$ref" in schema:
            yield self._resolve(schema["$ref"], f"{place}.$ref"), f"{place}.$ref"

    def _resolve(self, reference: str, place: str) -> Any:  # noqa: ANN401 - whatever JSON holds
        start, *rest = reference.split("/")
        if start != "#" or len(rest) != REFERENCE_PARTS - 1 or rest[0] not in DEFINITIONS:
            raise SchemaRefusedError(f"{place}: references lead to `#/$defs/…` of the same schema, and nowhere else.")
        name = unquote(rest[1]).replace("~1", "/").replace("~0", "~")
        try:
            return self._root[rest[0]][name]
        except KeyError:
            raise SchemaRefusedError(f"{place}: there is no such definition.") from None

    def _refuse(self, schema: dict[str, Any], place: str) -> None:
        for word in REFUSED:
            if word in schema:
                raise SchemaRefusedError(f"{place}: `{word}` is not offered here.")
        if "pattern" in schema:
            self.patterns.add(schema["pattern"])
