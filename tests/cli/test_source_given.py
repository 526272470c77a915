"""A template that the user names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cli.command import Command


@pytest.mark.parametrize("scheme", ["https", "git+https", "ssh", "ftp"])
def test_an_address_with_a_password_is_refused_and_the_password_never_shown(aiapi: Command, scheme: str) -> None:
    given = f"{scheme}://ada:secret@forge.invalid/x.git"
    result = aiapi("new", "demo", "--defaults", "--no-lock", "--json", "--template", given)
    assert result.returncode == 1
    assert "let a git credential helper log in" in result.stderr
    assert "secret" not in result.stdout + result.stderr
    assert aiapi.leftovers() == []


@pytest.mark.parametrize("name", ["../x", "Demo", "a/b", "x" * 300])
def test_a_name_is_judged_before_anything_is_fetched(aiapi: Command, name: str) -> None:
    result = aiapi("new", name, "--defaults", "--no-lock", "--template", "https://127.0.0.1:9/none.git")
    assert result.returncode == 1
    assert "lower-case letters" in result.stderr
    assert "is not writable" not in result.stderr
    assert aiapi.leftovers() == []
