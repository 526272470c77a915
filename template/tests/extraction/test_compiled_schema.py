"""Schemas from callers: which are accepted, which are refused, and the faults they find in data."""

import time
import tracemalloc
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from app.errors import SchemaRefusedError
from app.extraction.compiled_schema import MOST_BYTES, compile_schema
from app.extraction.unfolding import LISTED, NAMED, REFUSED, SINGLE

WITHOUT_SUBSCHEMAS = (
    {"const", "dependentRequired", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "maxItems", "maxLength"}
    | {"maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "multipleOf", "pattern"}
    | {"required", "type", "uniqueItems"}
)


def schema_of(member: object, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"type": "object", "properties": {"a": member}, **more}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object"}
    for _ in range(levels - 1):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def doubling(levels: int) -> dict[str, Any]:
    """Return a short schema that unfolds into 2 to the power of `levels` parts."""
    definitions = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(levels)}
    return schema_of({"$ref": "#/$defs/d0"}, **{"$defs": definitions | {f"d{levels}": {}}})


def test_every_keyword_that_the_library_checks_is_followed_or_refused_or_holds_no_schema() -> None:
    known = {*SINGLE, *LISTED, *NAMED, *REFUSED, *WITHOUT_SUBSCHEMAS, "$ref"}
    assert set(Draft202012Validator.VALIDATORS) <= known


@pytest.mark.parametrize(
    ("schema", "because"),
    [
        ({}, '"type": "object"'),
        ({"type": "array"}, '"type": "object"'),
        ({"type": ["object", "null"]}, '"type": "object"'),
        (schema_of({"type": "strin"}), "properties.a.type"),
        ({"type": "object", "properties": [1]}, "properties"),
        ({"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"}, "2020-12"),
        ({"type": "object", "$schema": [1]}, "2020-12"),
        (schema_of({"$schema": "http://json-schema.org/draft-07/schema#"}), "`$schema` is not offered"),
        (schema_of({"$ref": "http://127.0.0.1:1/schema"}), "nowhere else"),
        (schema_of({"$ref": "file:///etc/passwd"}), "nowhere else"),
        (schema_of({"$ref": "other.json#/$defs/b"}), "nowhere else"),
        (schema_of({"$ref": "#/properties/a"}), "nowhere else"),
        (schema_of({"$ref": "#"}), "nowhere else"),
        (schema_of({"$ref": "#/$defs/b"}), "no such definition"),
        (schema_of({"$ref": "#/$defs/b"}, **{"$defs": {"b": {"$ref": "#/$defs/b"}}}), "leads back"),
        (schema_of({"$ref": "#/$defs/b"}, **{"$defs": {"b": {"items": {"$ref": "#/$defs/b"}}}}), "leads back"),
        (schema_of({"$id": "http://127.0.0.1:1/"}), "`$id` is not offered"),
        (schema_of({"unevaluatedProperties": False}), "`unevaluatedProperties` is not offered"),
        (schema_of({"patternProperties": {"^a": {}}}), "`patternProperties` is not offered"),
        (schema_of({"pattern": "(?=a)b"}), "pattern"),
        (schema_of({"pattern": "(a)\\1"}), "pattern"),
        (schema_of({"pattern": "("}), "pattern"),
        (schema_of({"pattern": "a{999}{999}"}), "pattern"),
        (schema_of({"pattern": "a" * 201}), "201 characters"),
        (schema_of({"pattern": "(?i)" + "[!-\uffff]" * 9000}), "45004 characters"),
        (schema_of({"anyOf": [{"pattern": f"^{n}"} for n in range(21)]}), "21 different patterns"),
        (schema_of({"anyOf": [{}] * 500}), "more than 500 parts"),
        (schema_of({}, **{"$defs": {f"d{n}": n % 2 == 0 or {} for n in range(2000)}}), "2,004 objects and booleans"),
        (schema_of({"type": [n if n % 2 else f"{n}" for n in range(9000)]}), "9000 types"),
        (doubling(9), "more than 500 parts"),
        (doubling(30), "deeper than 32"),
        (nested(33), "deeper than 32"),
        (nested(300), "nested too deep"),
        (nested(5000), "not valid JSON"),
        (schema_of({"description": "x" * MOST_BYTES}), "bytes"),
        (schema_of({"description": "\ud800"}), "not valid JSON"),
        (schema_of({"minimum": float("inf")}), "not valid JSON"),
        (schema_of({"multipleOf": 10**400}), "out of range"),
    ],
)
def test_what_cannot_be_used_is_refused_and_says_why(schema: dict[str, Any], because: str) -> None:
    with pytest.raises(SchemaRefusedError) as refusal:
        compile_schema(schema)
    assert because in refusal.value.detail


@pytest.mark.parametrize("schema", [nested(32), doubling(6)])
def test_what_ends_and_is_small_is_taken(schema: dict[str, Any]) -> None:
    assert compile_schema(schema).faults({}) == []


@pytest.mark.parametrize(
    "schema",
    [
        schema_of({"$ref": "#/$defs/one~1two%20three"}, **{"$defs": {"one/two three": {"type": "integer"}}}),
        schema_of({"$ref": "#/definitions/n"}, definitions={"n": {"type": "integer"}}),
        schema_of({"type": "integer"}, **{"$schema": "https://json-schema.org/draft/2020-12/schema"}),
    ],
)
def test_references_lead_to_definitions_under_either_name(schema: dict[str, Any]) -> None:
    assert compile_schema(schema).faults({"a": 1}) == []
    assert [fault.location for fault in compile_schema(schema).faults({"a": "x"})] == ["$.a"]


@pytest.mark.parametrize("name", ["$ref", "$id", "pattern", "items", "patternProperties"])
def test_a_property_may_have_the_name_of_a_keyword(name: str) -> None:
    form = compile_schema({"type": "object", "properties": {name: {"type": "integer"}}})
    assert form.faults({name: 1}) == []
    assert len(form.faults({name: "x"})) == 1


def test_a_pattern_that_hangs_others_is_answered() -> None:
    form = compile_schema(schema_of({"pattern": "^(a+)+$"}))
    assert form.faults({"a": "a" * 5000}) == []
    assert len(form.faults({"a": "a" * 5000 + "b"})) == 1
    assert form.faults({"a": 5}) == []


def test_a_pattern_is_read_by_the_engine_that_matches_it() -> None:
    form = compile_schema(schema_of({"pattern": r"^\p{L}+$"}))
    assert form.faults({"a": "Ἀθῆναι"}) == []
    assert len(form.faults({"a": "4"})) == 1


def test_text_that_is_too_long_for_a_pattern_does_not_fit() -> None:
    [fault] = compile_schema(schema_of({"pattern": "a"})).faults({"a": "a" * 10_001})
    assert fault == ("$.a", "is too long for a pattern: 10,000 characters are the most")


@pytest.mark.parametrize("word", ["anyOf", "oneOf"])
def test_of_many_errors_of_many_branches_none_is_kept(word: str) -> None:
    form = compile_schema(schema_of({word: [{"items": {"type": "string"}}] * 100}))
    tracemalloc.start()
    try:
        [fault] = form.faults({"a": [1] * 1000})
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
    assert fault.location == "$.a"


def test_a_branch_that_fits_is_enough_for_any_of_and_a_second_too_many_for_one_of() -> None:
    branches = [{"type": "integer"}, {"$ref": "#/$defs/even"}, False]
    definitions = {"$defs": {"even": {"multipleOf": 2}}}
    any_of, one_of = (compile_schema(schema_of({word: branches}, **definitions)) for word in ("anyOf", "oneOf"))
    faults = [(len(any_of.faults({"a": value})), len(one_of.faults({"a": value}))) for value in (3, 2.0, 2.5, "x")]
    assert faults == [(0, 0), (0, 1), (1, 1), (0, 0)]


@pytest.mark.parametrize(
    ("member", "definition"),
    [
        ({"allOf": [{"$ref": "#/$defs/d"}] * 240}, {"type": "integer"}),
        ({"allOf": [{"$ref": "#/$defs/d"}] * 240}, {"enum": [*range(500), -1]}),
        ({"not": {"not": {"default": [0] * 20_000}}}, {}),
    ],
)
def test_what_takes_too_long_to_check_does_not_fit(member: dict[str, Any], definition: dict[str, Any]) -> None:
    form = compile_schema({"type": "object", "additionalProperties": {"items": member}, "$defs": {"d": definition}})
    started = time.thread_time()
    [fault] = form.faults({str(n): [-1] * 1000 for n in range(40)})
    assert time.thread_time() - started < 10
    assert fault.location == "$"
    assert "too long to check" in fault.message


@pytest.mark.parametrize(
    ("items", "are_unique"),
    [
        ([1, "1", True, None, [], {}, 0, False, [1], {"a": 1}], True),
        ([1, 1.0], False),
        ([{"a": [1, 2]}, {"a": [1.0, 2]}], False),
        ([True, True], False),
        ([[1], [True]], True),
    ],
)
def test_items_are_equal_when_json_says_so(items: list[object], are_unique: bool) -> None:  # noqa: FBT001
    assert (compile_schema(schema_of({"uniqueItems": True})).faults({"a": items}) == []) is are_unique


def test_faults_are_few_and_short() -> None:
    form = compile_schema({"type": "object", "additionalProperties": {"type": "integer"}})
    faults = form.faults({f"{n:04}" + "k" * 1000: "v" * 1000 for n in range(30)})
    assert len(faults) == 10
    assert max(len(fault.location + fault.message) for fault in faults) < 700
