"""Ctrl-C and SIGTERM during an update: the project is as it was or completely updated, and nothing is left."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.command import git, interrupt
from cli.project_scenes import commit, run_json
from cli.update_scenes import edit, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.command import Command

# A program that stops, before or after it did its work, when it is first called with a certain word.
BEFORE = """for word in "$@"; do
  [ "$word" = {word} ] && [ ! -e {mark} ] && touch {mark} && exec sleep 300
done
exec "$REAL" "$@"
"""
AFTER = BEFORE.replace("touch", '"$REAL" "$@" && touch')


def interrupted(demo: Command, by: str, mark: Path, *arguments: str, **extra: str) -> tuple[str, str]:
    """Interrupt an update when `mark` appears, see that it says so; return its stdout and the last line of stderr."""
    process = demo.start("update", *arguments, **extra)
    stdout, stderr = interrupt(process, by, mark)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    assert list(Path(demo.environment["TMPDIR"]).iterdir()) == []
    return stdout, stderr.splitlines()[-1]


@pytest.mark.parametrize("by", ["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(BEFORE.replace("{word}", "worktree"), id="before the working tree"),
        pytest.param(AFTER.replace("{word}", "worktree"), id="after it"),
        pytest.param(BEFORE.replace("{word}", "clone"), id="clone"),
        pytest.param(BEFORE.replace("{word}", "apply"), id="apply"),
        pytest.param(BEFORE.replace("{word}", "merge-file"), id="merge"),
    ],
)
def test_before_the_update_is_in_place_nothing_has_happened(
    demo: Command, stand_in: Callable[[str, str], str], tmp_path: Path, by: str, script: str
) -> None:
    edit(demo, "moved/clash.txt", 10)
    commit(demo.folder)
    before = state(demo.folder)
    mark = tmp_path / "mark"
    path = stand_in("git", script.format(mark=mark))
    stdout, last = interrupted(demo, by, mark, "--no-lock", "--json", PATH=path)
    assert last == "Interrupted: nothing was left behind."
    assert json.loads(stdout)["ok"] is False
    assert state(demo.folder) == before


@pytest.mark.parametrize("by", ["Ctrl-C", "SIGTERM"])
def test_a_working_tree_that_git_has_half_made_is_gone(demo: Command, tmp_path: Path, by: str) -> None:
    mark = tmp_path / "mark"
    (demo.folder / ".gitattributes").write_text("plain.txt filter=slow\n")
    git(demo.folder, "config", "filter.slow.clean", "cat")
    commit(demo.folder)
    git(demo.folder, "config", "filter.slow.smudge", f"touch '{mark}'; exec sleep 300")
    before = state(demo.folder)
    _, last = interrupted(demo, by, mark, "--no-lock")
    assert last == "Interrupted: nothing was left behind."
    assert state(demo.folder) == before


@pytest.mark.parametrize("by", ["Ctrl-C", "SIGTERM"])
def test_while_the_update_is_put_in_place_it_waits_for_the_end(
    demo: Command, stand_in: Callable[[str, str], str], tmp_path: Path, by: str
) -> None:
    mark = tmp_path / "mark"
    slow = f'for word in "$@"; do [ "$word" = read-tree ] && touch {mark} && sleep 1; done; exec "$REAL" "$@"'
    _, last = interrupted(demo, by, mark, "--no-lock", PATH=stand_in("git", slow))
    assert last.startswith("Interrupted: the update is applied")
    assert "git reset --hard" in last
    assert "_commit: v0.3.0" in (demo.folder / ".copier-answers.yml").read_text()
    assert git(demo.folder, "diff", "--name-only") == ""


@pytest.mark.parametrize("by", ["Ctrl-C", "SIGTERM"])
def test_while_the_dependencies_are_locked_the_update_stays(
    demo: Command, stand_in: Callable[[str, str], str], tmp_path: Path, by: str
) -> None:
    mark = tmp_path / "mark"
    subprocess.run(["uv", "lock", "--quiet"], cwd=demo.folder, env=dict(demo.environment), check=True)
    commit(demo.folder)
    before = state(demo.folder)
    stdout, last = interrupted(demo, by, mark, "--json", PATH=stand_in("uv", BEFORE.format(word="lock", mark=mark)))
    assert json.loads(stdout)["ok"] is False
    assert "the update is applied" in last
    git(demo.folder, *last.partition("git ")[2].split())
    assert state(demo.folder) == before
    assert run_json(demo, "update", "--dry-run")[0] == 0
