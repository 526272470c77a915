"""`aiapi update` refuses repositories in which it cannot work, with the right message."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from cli.command import git
from cli.project_scenes import commit, run_json
from cli.update_scenes import edit, refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.command import Command


@pytest.mark.parametrize(
    "flags", [("--skip-worktree",), ("--assume-unchanged",), ("--skip-worktree", "--assume-unchanged")]
)
def test_a_file_that_git_is_told_to_overlook_is_named_with_the_command_that_ends_it(
    demo: Command, flags: tuple[str, ...]
) -> None:
    for flag in flags:
        git(demo.folder, "update-index", flag, "odd/with space.txt")
    edit(demo, "odd/with space.txt", 3)
    error = refused(demo.within(demo.folder / "odd"), "update")
    assert error["message"] == f"git skips changes to 1 file of {demo.folder} (skip-worktree or assume-unchanged)."
    found = {check["name"]: check for check in run_json(demo, "doctor")[1]["checks"]}["skipped files"]
    assert (found["ok"], found["detail"]) == (False, error["problems"][0])
    subprocess.run(["sh", "-c", error["problems"][0].partition(": ")[2]], cwd=demo.folder.parent, check=True)
    assert "1 uncommitted change" in refused(demo, "update")["message"]


def test_a_repository_of_sha256_objects_is_refused(demo: Command) -> None:
    shutil.rmtree(demo.folder / ".git")
    git(demo.folder, "init", "--quiet", "--object-format=sha256")
    commit(demo.folder)
    error = refused(demo, "update")
    assert "SHA-256" in error["message"]
    assert "--object-format=sha1" in error["remedy"]


def test_a_project_is_made_and_updated_where_sha256_is_the_usual(demo: Command) -> None:
    there = {"GIT_DEFAULT_HASH": "sha256"}
    assert demo("update", "--no-lock", **there).returncode == 0
    made = demo.within(demo.folder.parent)("new", "other", "--defaults", "--no-lock", **there)
    assert made.returncode == 0, made.stderr
    assert git(demo.folder.parent / "other", "rev-parse", "--show-object-format") == "sha1"


def test_a_merge_that_git_fails_at_is_not_called_a_fetch(demo: Command, stand_in: Callable[[str, str], str]) -> None:
    script = '[ "$1" = commit ] && echo "fatal: no memory" >&2 && exit 128\nexec "$REAL" "$@"'
    error = refused(demo, "update", PATH=stand_in("git", script))
    assert error["message"].startswith("git failed (git commit ")
    assert error["message"].endswith(": no memory")
