"""Where a new project goes: what lies there is named and kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cli.command import git

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.command import Command


def occupied(folder: Path) -> None:
    """Put a project in the way."""
    (folder / "demo").mkdir()
    (folder / "demo/precious.txt").write_text("mine")


def a_file(folder: Path) -> None:
    """Put a file in the way."""
    (folder / "demo").write_text("mine")


def dangling(folder: Path) -> None:
    """Put a broken link in the way."""
    (folder / "demo").symlink_to("nowhere")


@pytest.mark.parametrize(
    ("obstacle", "message"), [(occupied, "is not empty"), (a_file, "is a file"), (dangling, "is a file")]
)
def test_what_is_in_the_way_is_named_and_kept(aiapi: Command, obstacle: Callable[[Path], None], message: str) -> None:
    obstacle(aiapi.folder)
    result = aiapi("new", "demo", "--defaults")
    assert result.returncode == 1
    assert message in result.stderr
    assert "--into" in result.stderr
    assert aiapi.leftovers() == ["demo"]


def test_a_missing_parent_folder_is_refused_with_the_command_that_makes_it(aiapi: Command) -> None:
    result = aiapi("new", "demo", "--defaults", "--into", "not here/demo")
    assert result.returncode == 1
    assert f"mkdir -p '{aiapi.folder}/not here'" in result.stderr
    assert aiapi.leftovers() == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(aiapi: Command) -> None:
    closed = aiapi.folder / "closed"
    closed.mkdir(mode=0o500)
    result = aiapi("new", "demo", "--defaults", "--into", "closed/demo")
    assert result.returncode == 1
    assert "is not writable" in result.stderr


def test_an_empty_folder_with_a_space_becomes_the_project_and_stays_itself(aiapi: Command) -> None:
    place = aiapi.folder / "my place"
    place.mkdir()
    before = place.stat().st_ino
    result = aiapi.within(place)("new", "demo", "--defaults", "--no-lock", "--into", ".")
    assert result.returncode == 0, result.stderr
    assert (place / "pyproject.toml").is_file()
    assert place.stat().st_ino == before
    assert aiapi.leftovers() == ["my place"]


@pytest.mark.parametrize("folder", [True, False], ids=["in an empty folder", "in the folder's place"])
def test_what_appears_while_the_project_is_made_is_kept(
    aiapi: Command, stand_in: Callable[[str, str], str], *, folder: bool
) -> None:
    place = aiapi.folder / "demo"
    if folder:
        place.mkdir()
    file = place / "compose.yaml" if folder else place
    path = stand_in("git", f'[ "$1" = init ] && echo mine > "{file}"\nexec "$REAL" "$@"')
    result = aiapi("new", "demo", "--defaults", "--no-lock", "--into", "demo", PATH=path)
    assert result.returncode == 1
    assert f"  - {file}\n" in result.stderr
    assert "--into" in result.stderr
    assert file.read_text() == "mine\n"
    assert aiapi.leftovers() == ["demo"]
    assert not folder or [each.name for each in place.iterdir()] == ["compose.yaml"]


def test_inside_another_repository_the_project_gets_its_own_and_the_user_is_told(aiapi: Command) -> None:
    git(aiapi.folder, "init", "--quiet")
    result = aiapi("new", "demo", "--defaults", "--no-lock")
    assert result.returncode == 0
    assert "lies inside the git repository" in result.stderr
    assert git(aiapi.folder / "demo", "rev-list", "--count", "HEAD") == "1"
