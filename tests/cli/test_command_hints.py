"""Printed commands work from any current directory, and affect this project only."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from cli.command import git
from cli.project_scenes import ANSWERS, commit, run_json
from cli.update_scenes import decide, edit, refused, state

if TYPE_CHECKING:
    from pathlib import Path

    from cli.command import Command


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Another repository, in which somebody is at work."""
    folder = tmp_path / "else where"
    folder.mkdir()
    (folder / "work.txt").write_text("committed\n")
    git(folder, "init", "--quiet")
    commit(folder)
    (folder / "work.txt").write_text("not committed\n")
    return folder


def run(aiapi: Command, command: str) -> str:
    """Run a printed command in the current directory, and return its output."""
    words = ["sh", "-ec", command]
    done = subprocess.run(
        words, cwd=aiapi.folder, env={**aiapi.environment}, check=True, capture_output=True, text=True
    )
    return done.stdout


def after(shown: str, label: str) -> str:
    """Return the rest of the line that begins with a label."""
    return next(line for line in shown.splitlines() if line.startswith(label)).removeprefix(label)


def steps(shown: str) -> list[str]:
    """Return the commands that come next, but for those of uv."""
    lines = shown.partition("Next:\n")[2].splitlines()
    return [line.strip() for line in lines if line.startswith("  ") and " uv " not in line]


def test_from_another_repository_the_update_is_finished_committed_and_taken_back(
    conflicting: Command, elsewhere: Path
) -> None:
    demo, there = conflicting.folder, conflicting.within(elsewhere)
    before, others = state(demo), state(elsewhere)
    shown = there("update", str(demo), "--no-lock").stdout
    assert after(shown, "Then: ") == f"aiapi update --continue {demo}"
    run(there, after(shown, "Undo with: "))
    assert state(demo) == before
    edit(conflicting, "plain.txt", 1)
    run(there, refused(there, "update", str(demo))["remedy"].partition("(")[2].partition(")")[0])
    assert state(demo)["files"] == before["files"]
    there("update", str(demo), "--no-lock")
    decide(conflicting)
    shown = there("update", str(demo), "--continue").stdout
    assert steps(shown)[0] == f"cd {demo}"
    run(there, "\n".join(steps(shown)))
    assert git(demo, "log", "-1", "--format=%s") == "Update demo to aiapi v0.3.0"
    assert git(demo, "status", "--porcelain") == ""
    assert state(elsewhere) == others


def test_in_a_larger_repository_the_work_of_others_is_not_committed_along(demo: Command) -> None:
    shutil.rmtree(demo.folder / ".git")
    top = demo.folder.parent
    (top / "work.txt").write_text("committed\n")
    git(top, "init", "--quiet")
    commit(top)
    (top / "work.txt").write_text("not committed\n")
    (top / "staged.txt").write_text("staged\n")
    git(top, "add", "staged.txt")
    shown = demo("update", "--no-lock").stdout
    assert steps(shown)[0] == "git diff --staged -- .    # what has changed"
    assert "staged.txt" not in run(demo, steps(shown)[0])
    run(demo, steps(shown)[1])
    assert git(top, "status", "--porcelain").splitlines() == ["A  staged.txt", " M work.txt"]
    assert "added.txt" in git(demo.folder, "ls-tree", "--name-only", "HEAD")


def test_a_relinked_source_is_committed_from_a_folder_within_and_from_elsewhere(
    demo: Command, elsewhere: Path, tmp_path: Path
) -> None:
    source = demo.folder / ANSWERS
    place = next(line for line in source.read_text().splitlines() if line.startswith("_src_path: ")).split()[1]
    for number, there in enumerate((demo.within(demo.folder / "odd"), demo.within(elsewhere))):
        moved = shutil.copytree(place, tmp_path / f"moved{number}")
        result = there("relink", str(moved), str(demo.folder))
        assert result.returncode == 0, result.stderr
        run(there, after(result.stdout, "Commit it: "))
        assert git(demo.folder, "status", "--porcelain") == ""


def test_the_project_is_named_where_the_user_is_not_in_it(demo: Command, elsewhere: Path) -> None:
    there = demo.within(elsewhere)
    assert there("check", str(demo.folder)).stdout.endswith(f"aiapi update --dry-run {demo.folder}\n")
    assert demo.within(demo.folder / "odd")("check").stdout.endswith("aiapi update --dry-run\n")
    error = run_json(there, "update", str(demo.folder), "--continue")[1]["error"]
    assert error["remedy"] == f"Start one: aiapi update {demo.folder}"
