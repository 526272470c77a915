"""What an update does to a user's edits, each sort of them: one project has them all, and is updated once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cli.command import git
from cli.edited_scene import MINE, MOVED_EDIT
from cli.project_scenes import ANSWERS
from cli.update_scenes import LINES, MORE_ROUTES, ODD_NAMES, PATTERN, PICTURE, PROSE, changed

if TYPE_CHECKING:
    from cli.edited_scene import Updated


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


@pytest.mark.parametrize("name", [name for name in ODD_NAMES if name != PATTERN])
def test_the_name_of_a_file_does_not_matter(updated: Updated, name: str) -> None:
    assert updated.change(name)["kind"] == "merged"
    assert updated.text(name) == changed(changed(LINES, 3), 20, "changed by me")


def test_a_name_that_is_a_pattern_conflicts_alone(updated: Updated) -> None:
    assert updated.change(PATTERN)["conflict_lines"] == [3]
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


def test_an_edit_stays_in_its_function_where_the_release_adds_others_like_it(updated: Updated) -> None:
    assert updated.change("routes.py")["kind"] == "merged"
    before, function, after = MORE_ROUTES.partition("def post(caller):\n")
    edited = after.replace("    run(caller)\n", "    admins_only(caller)\n    run(caller)\n", 1)
    assert updated.text("routes.py").removeprefix("# Routes.\n\n\n") == before + function + edited


def test_lines_that_the_user_took_out_stay_out_also_of_files_that_git_is_not_to_show(updated: Updated) -> None:
    assert updated.change("unshown.txt")["kind"] == "merged"
    assert updated.text("unshown.txt") == changed(LINES, 3).replace("line 25\n", "")
    assert updated.after["unshown_kept.txt"] == updated.before["unshown_kept.txt"]


def test_the_answers_are_those_of_the_release(updated: Updated) -> None:
    assert "_commit: v0.3.0\n" in updated.text(ANSWERS)


def test_nothing_of_the_trial_is_left(updated: Updated) -> None:
    assert updated.demo.within(updated.demo.folder.parent).leftovers() == ["demo"]
    assert len(git(updated.demo.folder, "worktree", "list").splitlines()) == 1
    assert not [name for name in updated.after if name.endswith((".rej", ".orig"))]
