"""`aiapi update` and the lock of the dependencies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.command import git
from cli.project_scenes import commit, run_json
from cli.update_scenes import edit

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.command import Command


def without(program: str, folder: Path) -> str:
    """Return a PATH on which everything is but one program."""
    folder.mkdir()
    for place in map(Path, reversed(os.environ["PATH"].split(os.pathsep))):
        for each in place.iterdir() if place.is_dir() else ():
            (folder / each.name).unlink(missing_ok=True)
            (folder / each.name).symlink_to(each)
    (folder / program).unlink()
    return str(folder)


@pytest.fixture
def locked(demo: Command) -> Command:
    """A project whose dependencies are locked."""
    subprocess.run(["uv", "lock", "--quiet"], cwd=demo.folder, env={**demo.environment}, check=True)
    commit(demo.folder)
    return demo


def test_dependencies_are_locked_anew_when_they_have_changed(locked: Command) -> None:
    code, said = run_json(locked, "update")
    assert (code, said["locked"]) == (0, True)
    assert 'version = "0.2.0"' in (locked.folder / "uv.lock").read_text()
    assert "M  uv.lock" in git(locked.folder, "status", "--short").splitlines()


def test_dependencies_are_not_locked_when_they_have_not_changed_or_are_not_to_be(locked: Command) -> None:
    before = (locked.folder / "uv.lock").read_bytes()
    assert "locked" not in run_json(locked, "update", "--to", "0.2.0", "--no-lock")[1]
    commit(locked.folder)
    assert "locked" not in run_json(locked, "update")[1]
    assert (locked.folder / "uv.lock").read_bytes() == before


@pytest.mark.parametrize("why", ["refuses", "is missing"])
def test_a_lock_that_fails_is_no_success_and_the_update_stays(
    locked: Command, stand_in: Callable[[str, str], str], tmp_path: Path, why: str
) -> None:
    if why == "refuses":
        path = stand_in("uv", "echo 'error: no such package' >&2; exit 1")
    else:
        path = without("uv", tmp_path / "programs")
    result = locked("update", "--json", PATH=path)
    said = json.loads(result.stdout)
    assert (result.returncode, said["ok"], said["locked"], said["applied"]) == (1, False, False, True)
    assert "uv lock failed: " in said["warnings"][0]
    assert "uv lock" in result.stderr
    assert "uv.lock" not in git(locked.folder, "diff", "--name-only", "HEAD")
    assert 'version = "0.2.0"' in (locked.folder / "pyproject.toml").read_text()


def test_continue_locks_what_the_update_could_not_yet(locked: Command) -> None:
    edit(locked, "same.txt", 5)
    commit(locked.folder)
    code, said = run_json(locked, "update")
    assert (code, "locked" in said) == (1, False)
    shutil.copy(locked.folder / "plain.txt", locked.folder / "same.txt")
    assert run_json(locked, "update", "--continue")[0] == 0
    assert 'version = "0.2.0"' in (locked.folder / "uv.lock").read_text()
    assert git(locked.folder, "diff", "--name-only") == ""
