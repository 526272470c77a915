"""Tests of the error hierarchy."""

import re

from app import errors
from app.errors import AppError


def subclasses(error: type[AppError]) -> list[type[AppError]]:
    return [found for child in error.__subclasses__() for found in (child, *subclasses(child))]


def test_the_docstring_shows_the_class_hierarchy() -> None:
    assert errors.__doc__ is not None
    drawn = re.findall(r"^([ │├└─]*)(\w+Error)\b", errors.__doc__, re.MULTILINE)
    path: dict[int, str] = {}
    for indent, name in drawn:
        level = len(indent)
        parent = next((path[each] for each in sorted(path, reverse=True) if each < level), "Exception")
        assert vars(errors)[name].__base__.__name__ == parent, name
        path = {each: kept for each, kept in path.items() if each < level} | {level: name}
    every: list[type[AppError]] = [AppError, *subclasses(AppError)]
    assert {name for _, name in drawn} == {error.__name__ for error in every}


def test_every_error_has_a_code_of_its_own_and_a_status() -> None:
    codes = [error.code for error in subclasses(AppError)]
    assert len(codes) == len(set(codes))
    assert all(400 <= error.status <= 599 for error in subclasses(AppError))
