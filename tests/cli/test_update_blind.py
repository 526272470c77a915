"""`aiapi update` where git does not see what lies there."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from cli.command import git
from cli.update_scenes import edit, refused
from cli.upkeep_scenes import told

if TYPE_CHECKING:
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
    assert error["message"] == f"git is told to overlook 1 file of {demo.folder}."
    found = {check["name"]: check for check in told(demo, "doctor")[1]["checks"]}["overlooked files"]
    assert (found["ok"], found["detail"]) == (False, error["problems"][0])
    subprocess.run(["sh", "-c", error["problems"][0].partition(": ")[2]], cwd=demo.folder.parent, check=True)
    assert "1 uncommitted change" in refused(demo, "update")["message"]
