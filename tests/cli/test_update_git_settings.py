"""The user's git settings do not change the result of an update."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.command import git
from cli.edited_scene import make_edited
from cli.project_scenes import run_json
from cli.update_scenes import files

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.command import Command
    from cli.edited_scene import Updated
    from cli.update_scenes import Newborn

# What people have in their git configuration; TRAP is a folder of hooks that fail, IGNORED a list of patterns,
# ATTRIBUTES one of files that git shall not show.
HABITS = {
    "line endings": ("core.autocrlf=true", "core.safecrlf=true"),
    "merging": (
        *("merge.conflictStyle=zdiff3", "rerere.enabled=true", "diff.noprefix=true", "diff.renames=false"),
        *("apply.whitespace=error", "diff.algorithm=patience", "core.fsmonitor=true"),
    ),
    "telling": (
        *("merge.conflictStyle=diff3", "color.ui=always", "core.quotePath=false", "status.showUntrackedFiles=no"),
        *("core.attributesFile=ATTRIBUTES", "diff.mnemonicPrefix=true", "status.branch=true"),
        *("status.short=true", "status.relativePaths=false"),
    ),
    "committing": (
        *("commit.gpgSign=true", "gpg.program=false", "core.hooksPath=TRAP", "user.useConfigOnly=true"),
        *("core.excludesFile=IGNORED", "init.defaultBranch=trunk"),
    ),
}


@pytest.mark.parametrize("habits", HABITS.values(), ids=HABITS)
def test_the_users_git_settings_do_not_change_the_result(
    updated: Updated, newborn: Newborn, command_from: Callable[[Path], Command], habits: tuple[str, ...], tmp_path: Path
) -> None:
    demo = make_edited(command_from(newborn.checkout), newborn)
    trap, ignored, attributes = (tmp_path / name for name in ("trap", "ignored", "attributes"))
    trap.mkdir()
    for hook in ("pre-commit", "commit-msg", "prepare-commit-msg", "post-checkout", "reference-transaction"):
        (trap / hook).write_text("#!/bin/sh\nexit 1\n")
        (trap / hook).chmod(0o755)
    ignored.write_text("*.txt\n*.png\n")
    attributes.write_text("*.txt -diff\n")
    settings = str(tmp_path / "home/.gitconfig")
    for habit in habits:
        name, _, value = habit.partition("=")
        place = {"TRAP": trap, "IGNORED": ignored, "ATTRIBUTES": attributes}.get(value, value)
        git(demo.folder, "config", "--file", settings, name, str(place))
    code, said = run_json(demo, "update", "--no-lock", "--diff")
    assert (code, said["changes"]) == (1, updated.said["changes"])
    assert "+changed by the template" in said["difference"]
    assert files(demo.folder).keys() == updated.after.keys()
    assert git(demo.folder, "ls-files", "--stage") == git(updated.demo.folder, "ls-files", "--stage")
