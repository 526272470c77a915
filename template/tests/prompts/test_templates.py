"""Prompt templates: only declared variables are filled in, and nothing else is evaluated."""

import pytest

from app.errors import UnprocessableError
from app.prompts.templates import check_variables, fill

OPEN, CLOSE = "{" * 2, "}" * 2


def test_values_take_the_places_of_their_variables() -> None:
    assert fill("Dear {name}, {name} of {town}.", {"name": "Ada", "town": "Oslo"}) == "Dear Ada, Ada of Oslo."
    assert fill("Nothing to fill in: 100 % $money.", {}) == "Nothing to fill in: 100 % $money."


def test_a_brace_written_twice_stands_for_itself() -> None:
    text = f"Answer as {OPEN}'name': '<name>'{CLOSE}.".replace("<name>", "{name}")
    check_variables(text, {"name"})
    assert fill(text, {"name": "Ada"}) == "Answer as {'name': 'Ada'}."


def test_what_looks_like_a_placeholder_in_a_value_stays_as_it_is() -> None:
    value = "{other} {0.__class__} {"
    assert fill("<{name}>", {"name": value}) == f"<{value}>"


@pytest.mark.parametrize(
    ("values", "named"), [({}, "needs the variable a"), ({"a": "", "b": "", "c": ""}, "no variable c")]
)
def test_a_variable_that_is_missing_or_unknown_is_named(values: dict[str, str], named: str) -> None:
    with pytest.raises(UnprocessableError, match=named):
        fill("{a} {b}", values)


def test_variables_are_declared_and_used() -> None:
    check_variables("{a} {b} {a}", ["b", "a"])
    with pytest.raises(UnprocessableError, match="variable b, which is not declared"):
        check_variables("{a} {b}", ["a"])
    with pytest.raises(UnprocessableError, match="variable c is declared"):
        check_variables("{a}", ["a", "c"])


@pytest.mark.parametrize(
    "text",
    ["{", "}", "{a", "a}", "{}", "{0}", "{A}", "{a.b}", "{a[0]}", "{a!r}", "{a:>9}", "{a:{b} }", "{ a}", "{__class__}"],
)
def test_whatever_is_no_plain_name_is_refused(text: str) -> None:
    with pytest.raises(UnprocessableError):
        check_variables(text, ["a", "b"])
