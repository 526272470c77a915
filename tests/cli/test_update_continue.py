"""`aiapi update --continue`: what is left to decide, and what is staged once nothing is."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from cli.command import git
from cli.project_scenes import commit, run_json
from cli.update_scenes import decide, edit, state, undo

if TYPE_CHECKING:
    from cli.command import Command


def test_after_an_undo_nothing_waits_and_new_work_is_safe(conflicting: Command) -> None:
    _, said = run_json(conflicting, "update", "--no-lock")
    undo(conflicting, said)
    assert "There is no update to finish" in run_json(conflicting, "update", "--continue")[1]["error"]["message"]
    edit(conflicting, "plain.txt", 1)
    error = run_json(conflicting, "update")[1]["error"]
    assert "1 uncommitted change" in error["message"]
    assert "reset --hard" not in error["remedy"]


def test_continue_names_what_is_left_until_nothing_is(conflicting: Command) -> None:
    shown = conflicting("update", "--no-lock").stdout
    assert "same.txt: conflict on line 5" in shown
    assert "deleted/edited.txt.yours: copy what you need, then delete it" in shown
    code, said = run_json(conflicting, "update", "--continue")
    assert (code, said["ok"]) == (1, False)
    assert [(each["path"], each["kind"]) for each in said["unresolved"]] == [
        ("deleted/edited.txt.yours", "saved edit"),
        ("same.txt", "conflict markers"),
    ]
    shutil.copy(conflicting.folder / "plain.txt", conflicting.folder / "same.txt")
    code, said = run_json(conflicting, "update", "--continue")
    assert (code, [each["path"] for each in said["unresolved"]]) == (1, ["deleted/edited.txt.yours"])
    (conflicting.folder / "deleted/edited.txt.yours").rename(conflicting.folder / "kept.txt")
    result = conflicting("update", "--continue")
    assert result.returncode == 0, result.stderr
    assert "everything is staged" in result.stdout
    assert git(conflicting.folder, "ls-files", "--unmerged") == ""
    assert git(conflicting.folder, "diff", "--name-only") == ""
    assert git(conflicting.folder, "ls-files", "kept.txt", "deleted") == "kept.txt"
    assert "There is no update to finish" in conflicting("update", "--continue").stderr


def test_continue_leaves_untracked_files_of_the_owner_alone(conflicting: Command) -> None:
    before = state(conflicting.folder)["files"]
    said = run_json(conflicting, "update", "--no-lock")[1]
    decide(conflicting)
    for name in ("notes.txt", 'odd/a "new" one.txt'):
        (conflicting.folder / name).write_text("mine\n")
    git(conflicting.folder, "rm", "--quiet", "--cached", "added.txt")
    result = conflicting("update", "--continue")
    assert result.returncode == 0, result.stderr
    assert "the update is staged" in result.stdout
    assert '    notes.txt\n    odd/a "new" one.txt\n' in result.stdout
    assert git(conflicting.folder, "ls-files", "added.txt", "notes.txt") == "added.txt"
    undo(conflicting, said)
    for name in ("notes.txt", 'odd/a "new" one.txt'):
        assert (conflicting.folder / name).read_text() == "mine\n"
        (conflicting.folder / name).unlink()
    assert state(conflicting.folder)["files"] == before


def test_a_commit_without_continue_ends_the_update_too(conflicting: Command) -> None:
    conflicting("update", "--no-lock", "--to", "0.2.0")
    decide(conflicting)
    commit(conflicting.folder)
    assert git(conflicting.folder, "status", "--porcelain", "--ignored") == ""
    code, said = run_json(conflicting, "update", "--no-lock")
    assert (code, said["from"], said["to"]) == (0, "v0.2.0", "v0.3.0")
    assert [change["path"] for change in said["changes"]] == ["third.txt"]
