"""What an update does to a user's edits, each sort of them: one project has them all, and is updated once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.command import git, on_a_clean_machine
from cli.edited_scene import MINE, MOVED_EDIT, Updated, make_edited
from cli.update_scenes import LINES, ODD_NAMES, PICTURE, PROSE, changed, files
from cli.upkeep_scenes import ANSWERS, told

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.command import Command
    from cli.update_scenes import Newborn


@pytest.fixture(scope="module")
def updated(newborn: Newborn, tmp_path_factory: pytest.TempPathFactory) -> Updated:
    """A project with every sort of edit, after its update."""
    demo = make_edited(on_a_clean_machine(tmp_path_factory.mktemp("edits"), newborn.checkout), newborn)
    before = files(demo.folder)
    code, said = told(demo, "update", "--no-lock")
    return Updated(demo, code, said, before, files(demo.folder))


def test_the_exit_code_and_the_json_say_that_something_is_left_to_decide(updated: Updated) -> None:
    assert updated.code == 1
    assert (updated.said["ok"], updated.said["applied"]) == (False, True)
    assert (updated.said["from"], updated.said["to"]) == ("v0.1.0", "v0.3.0")
    assert sorted(updated.said["unresolved"]) == [
        "added_by_both.txt",
        "bin/gone.sh.yours",
        "deleted/edited.txt.yours",
        "deleted/picture.png.yours",
        "emptied.txt",
        "filled.txt",
        "moved here/clash.txt",
        "moved here/taken.txt",
        "moved/taken.txt.yours",
        "odd/[a]*.txt",
        "picture.png.yours",
        "same.txt",
    ]


def test_edits_elsewhere_in_a_file_and_the_releases_changes_are_both_there(updated: Updated) -> None:
    assert updated.change("elsewhere.txt")["kind"] == "merged"
    assert updated.text("elsewhere.txt") == changed(changed(LINES, 3), 25, "changed by me")


def test_the_same_lines_conflict_where_the_command_says(updated: Updated) -> None:
    change = updated.change("same.txt")
    assert change["kind"] == "conflict"
    lines = updated.text("same.txt").splitlines()
    assert [number for number, line in enumerate(lines, 1) if line.startswith("<<<<<<<")] == change["conflict_lines"]
    assert len(change["conflict_lines"]) == 2
    assert lines.count("changed by me") == lines.count("changed by the template") == 2


def test_git_knows_the_conflict_with_all_its_three_sides(updated: Updated) -> None:
    assert git(updated.demo.folder, "status", "--short", "same.txt") == "UU same.txt"
    mine, theirs = (changed(changed(LINES, 5, by), 20, by) for by in ("changed by me", "changed by the template"))
    assert updated.stages("same.txt") == {"1": LINES.strip(), "2": mine.strip(), "3": theirs.strip()}


def test_nothing_else_is_in_conflict(updated: Updated) -> None:
    listed = git(updated.demo.folder, "diff", "--name-only", "--diff-filter=U", "-z").strip("\0").split("\0")
    conflicts = [change["kept_in"] or change["path"] for change in updated.said["changes"] if change["conflict_lines"]]
    assert sorted(listed) == sorted(conflicts)
    assert updated.stages("odd/a1.txt").keys() == {"0"}


@pytest.mark.parametrize("name", ["deleted/edited.txt", "deleted/picture.png", "bin/gone.sh"])
def test_a_file_that_the_release_deletes_is_beside_it_as_it_was_even_if_git_ignores_that(
    updated: Updated, name: str
) -> None:
    saved = f"{name}.yours"
    expected = {"kind": "deleted with your edits", "kept_in": saved, "conflict_lines": []}
    assert updated.change(name) == expected
    assert name not in updated.after
    assert updated.after[saved] == updated.before[name]
    assert git(updated.demo.folder, "ls-files", saved) == saved


def test_edits_move_along_with_a_renamed_file(updated: Updated) -> None:
    assert updated.change("moved/edited.txt")["kind"] == "renamed with your edits"
    assert updated.change("moved/edited.txt")["kept_in"] == "moved here/edited.txt"
    assert updated.text("moved here/edited.txt") == MOVED_EDIT
    assert "moved/edited.txt" not in updated.after
    assert updated.change("moved here/edited.txt") == {}


def test_a_renamed_file_conflicts_under_its_new_name(updated: Updated) -> None:
    change = updated.change("moved/clash.txt")
    assert (change["kept_in"], change["conflict_lines"]) == ("moved here/clash.txt", [10])
    lines = updated.text("moved here/clash.txt").splitlines()
    assert lines[9] == "<<<<<<< before updating"
    assert {"changed by me", "changed by the template"} <= set(lines)
    old = PROSE.upper().strip()
    assert updated.stages("moved here/clash.txt") == {
        "1": old,
        "2": changed(old, 10, "changed by me"),
        "3": changed(old, 10),
    }


def test_a_file_of_the_users_at_the_new_name_is_not_overwritten(updated: Updated) -> None:
    assert updated.change("moved/taken.txt")["kept_in"] == "moved/taken.txt.yours"
    assert updated.after["moved/taken.txt.yours"] == updated.before["moved/taken.txt"]
    assert updated.change("moved here/taken.txt")["kind"] == "conflict"
    assert "mine\n" in updated.text("moved here/taken.txt")


def test_a_file_that_was_not_edited_is_renamed_without_a_word_about_edits(updated: Updated) -> None:
    assert updated.change("moved/untouched.txt")["kind"] == "deleted"
    assert updated.after["moved here/untouched.txt"] == updated.before["moved/untouched.txt"]


def test_a_binary_that_the_release_leaves_alone_stays_the_users(updated: Updated) -> None:
    assert updated.after["picture_kept.png"] == (False, MINE)


def test_a_binary_that_both_changed_is_the_releases_with_the_users_beside_it(updated: Updated) -> None:
    assert updated.change("picture.png")["kept_in"] == "picture.png.yours"
    assert updated.after["picture.png.yours"] == (False, MINE)
    assert updated.after["picture.png"] == (False, PICTURE[::-1])


def test_a_file_that_the_user_deleted_stays_deleted(updated: Updated) -> None:
    assert updated.change("forsaken.txt")["kind"] == "left deleted"
    assert "forsaken.txt" not in updated.after


def test_a_file_that_the_user_made_a_link_stays_one(updated: Updated) -> None:
    assert updated.change("linked.txt")["kind"] == "left a link"
    assert updated.after["linked.txt"] == (False, b"-> plain.txt")


def test_what_both_added_alike_is_nothing_to_talk_about(updated: Updated) -> None:
    assert updated.change("added_alike.txt") == {}
    assert updated.text("added_alike.txt") == LINES


def test_what_both_added_differently_conflicts(updated: Updated) -> None:
    change = updated.change("added_by_both.txt")
    assert (change["kind"], change["conflict_lines"]) == ("conflict", [7])
    assert {"mine", "line 7"} <= set(updated.text("added_by_both.txt").splitlines())


def test_files_that_only_the_user_has_stay_also_in_a_folder_that_the_release_gives_up(updated: Updated) -> None:
    for name in ("deleted/mine.txt", "src/feature.py", "odd/a1.txt", ".gitignore", "README.md"):
        assert updated.after[name] == updated.before[name]
        assert updated.change(name) == {}


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if name != "[a]*.txt"])
def test_the_name_of_a_file_does_not_matter(updated: Updated, name: str) -> None:
    assert updated.change(f"odd/{name}")["kind"] == "merged"
    assert updated.text(f"odd/{name}") == changed(changed(LINES, 3), 20, "changed by me")


def test_a_name_that_is_a_pattern_conflicts_alone(updated: Updated) -> None:
    assert updated.change("odd/[a]*.txt")["conflict_lines"] == [3]
    assert updated.after["odd/a1.txt"] == updated.before["odd/a1.txt"]


def test_line_endings_stay_as_they_are(updated: Updated) -> None:
    merged = changed(changed(LINES, 3), 20, "changed by me")
    assert updated.text("windows.txt") == merged.replace("\n", "\r\n")
    assert updated.text("endless.txt") == merged.removesuffix("\n")


def test_empty_files_are_files(updated: Updated) -> None:
    assert updated.text("empty.txt") == "mine\n"
    assert updated.change("empty.txt") == {}
    assert {"mine", "filled"} <= set(updated.text("filled.txt").splitlines())
    assert "changed by me" in updated.text("emptied.txt")


def test_executable_bits_are_merged_like_contents(updated: Updated) -> None:
    assert updated.after["plain.txt"] == (True, changed(LINES, 3).encode())
    assert updated.after["bin/run.sh"][0]
    assert updated.after["bin/turned.sh"][0]
    assert updated.change("bin/turned.sh")["kind"] == "updated"


def test_a_tracked_file_is_updated_even_if_git_would_ignore_it(updated: Updated) -> None:
    assert git(updated.demo.folder, "check-ignore", "--no-index", "elsewhere.txt") == "elsewhere.txt"
    assert "changed by the template" in updated.text("elsewhere.txt")


def test_the_answers_are_those_of_the_release(updated: Updated) -> None:
    assert "_commit: v0.3.0\n" in updated.text(ANSWERS)


def test_nothing_of_the_trial_is_left(updated: Updated) -> None:
    assert updated.demo.within(updated.demo.folder.parent).leftovers() == ["demo"]
    assert len(git(updated.demo.folder, "worktree", "list").splitlines()) == 1
    assert not [name for name in updated.after if name.endswith((".rej", ".orig"))]


# What people have in their git configuration; TRAP is a folder of hooks that fail, IGNORED a list of patterns.
HABITS = {
    "line endings": ("core.autocrlf=true", "core.safecrlf=true"),
    "merging": (
        *("merge.conflictStyle=zdiff3", "rerere.enabled=true", "diff.noprefix=true", "diff.renames=false"),
        *("apply.whitespace=error", "diff.algorithm=patience", "core.fsmonitor=true"),
    ),
    "telling": (
        *("merge.conflictStyle=diff3", "color.ui=always", "core.quotePath=false", "status.showUntrackedFiles=no"),
        *("diff.mnemonicPrefix=true", "status.branch=true", "status.short=true", "status.relativePaths=false"),
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
    trap, ignored = tmp_path / "trap", tmp_path / "ignored"
    trap.mkdir()
    for hook in ("pre-commit", "commit-msg", "prepare-commit-msg", "post-checkout", "reference-transaction"):
        (trap / hook).write_text("#!/bin/sh\nexit 1\n")
        (trap / hook).chmod(0o755)
    ignored.write_text("*.txt\n*.png\n")
    settings = str(tmp_path / "home/.gitconfig")
    for habit in habits:
        name, _, value = habit.partition("=")
        told_value = value.replace("TRAP", str(trap)).replace("IGNORED", str(ignored))
        git(demo.folder, "config", "--file", settings, name, told_value)
    code, said = told(demo, "update", "--no-lock", "--diff")
    assert (code, said["changes"]) == (1, updated.said["changes"])
    assert "+changed by the template" in said["difference"]
    assert files(demo.folder).keys() == updated.after.keys()
    assert git(demo.folder, "ls-files", "--stage") == git(updated.demo.folder, "ls-files", "--stage")
