"""`aiapi update` from start to end: applied as a whole, finished, or undone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.command import git
from cli.project_scenes import ANSWERS, commit, run_json
from cli.update_scenes import LINES, changed, decide, edit, files, state, undo

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.command import Command
    from cli.update_scenes import Newborn


def test_an_untouched_project_becomes_what_the_release_gives(demo: Command, newborn: Newborn) -> None:
    result = demo("update", "--no-lock")
    assert result.returncode == 0, result.stderr
    assert files(demo.folder) == files(newborn.fresh)
    assert git(demo.folder, "diff", "--name-only") == ""
    assert git(demo.folder, "write-tree") == git(newborn.fresh, "rev-parse", "HEAD^{tree}")
    assert "demo: v0.1.0 -> v0.3.0" in result.stdout
    assert 'git commit -am "Update demo to aiapi v0.3.0"' in result.stdout


def test_git_learns_what_can_be_executed_even_where_it_cannot_see_it(demo: Command, newborn: Newborn) -> None:
    git(demo.folder, "config", "core.fileMode", "false")
    assert demo("update", "--no-lock").returncode == 0
    assert git(demo.folder, "write-tree") == git(newborn.fresh, "rev-parse", "HEAD^{tree}")


def test_it_goes_release_by_release_from_a_folder_within(demo: Command, newborn: Newborn) -> None:
    within = demo.within(demo.folder / "odd")
    for version in ("0.2.0", "v0.3.0"):
        result = within("update", "--no-lock", "--to", version)
        assert result.returncode == 0, result.stderr
        assert f"_commit: v{version.removeprefix('v')}\n" in (demo.folder / ANSWERS).read_text()
        commit(demo.folder)
    assert files(demo.folder) == files(newborn.fresh)


def test_the_project_may_be_named_instead(demo: Command, newborn: Newborn) -> None:
    assert demo.within(demo.folder.parent)("update", "demo", "--no-lock").returncode == 0
    assert files(demo.folder) == files(newborn.fresh)


def test_the_temporary_folder_may_lie_behind_a_link(demo: Command, newborn: Newborn, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(demo.environment["TMPDIR"])
    result = demo("update", "--no-lock", TMPDIR=str(tmp_path / "link"))
    assert result.returncode == 0, result.stderr
    assert files(demo.folder) == files(newborn.fresh)


def test_a_release_that_changes_no_file_is_recorded_all_the_same(
    newborn: Newborn, command_from: Callable[[Path], Command], tmp_path: Path
) -> None:
    checkout = Path(shutil.copytree(newborn.checkout, tmp_path / "checkout"))
    aiapi = command_from(checkout)
    assert aiapi("new", "demo", "--defaults", "--no-lock").returncode == 0
    git(checkout, "commit", "--quiet", "--allow-empty", "--message", "nothing")
    git(checkout, "tag", "--annotate", "--message", "v0.4.0", "v0.4.0")
    demo = aiapi.within(aiapi.folder / "demo")
    assert run_json(demo, "update", "--dry-run")[1]["applied"] is False
    result = demo("update", "--no-lock")
    assert result.returncode == 0
    assert "Only the answers change." in result.stdout
    assert git(demo.folder, "status", "--short") == f"M  {ANSWERS}"


def test_an_answer_may_change_on_the_way(demo: Command) -> None:
    code, said = run_json(demo, "update", "--no-lock", "--set", "description=Does everything.")
    assert (code, said["to"], said["answers"]) == (0, "v0.3.0", {"description": "Does everything."})
    assert "Does everything.\n" in (demo.folder / "README.md").read_text()


def test_a_dry_run_changes_nothing_and_tells_what_the_update_then_does(conflicting: Command) -> None:
    before = state(conflicting.folder)
    code, foreseen = run_json(conflicting, "update", "--dry-run", "--diff")
    assert (code, foreseen["ok"], foreseen["applied"]) == (1, False, False)
    assert state(conflicting.folder) == before
    code, said = run_json(conflicting, "update", "--diff", "--no-lock")
    assert (code, said.pop("applied"), foreseen.pop("applied")) == (1, True, False)
    assert said == foreseen
    assert "+changed by the template" in said["difference"]


def test_a_dry_run_says_on_the_screen_that_it_was_one(demo: Command) -> None:
    result = demo("update", "--dry-run", "--diff")
    assert result.returncode == 0
    assert "Nothing was changed: this was a dry run." in result.stdout
    assert "--- a/plain.txt\n+++ b/plain.txt\n" in result.stdout
    assert "Undo" not in result.stdout


def test_text_that_is_not_utf8_is_merged_and_shown(demo: Command) -> None:
    (demo.folder / "same.txt").write_text(LINES.replace("line 22", "gr\xfc\xdfe"), "latin-1")
    commit(demo.folder)
    result = demo("update", "--diff", "--no-lock")
    assert result.returncode == 0, result.stderr
    assert "\n gr\ufffd\ufffde\n" in result.stdout
    text = changed(changed(LINES, 5), 20).replace("line 22", "gr\xfc\xdfe")
    assert (demo.folder / "same.txt").read_bytes() == text.encode("latin-1")


@pytest.mark.parametrize("finished", [False, True], ids=["at once", "finished"])
def test_the_undo_that_is_named_gives_back_what_was(conflicting: Command, *, finished: bool) -> None:
    before = state(conflicting.folder)
    _, said = run_json(conflicting, "update", "--no-lock")
    if finished:
        decide(conflicting)
        code, said = run_json(conflicting, "update", "--continue")
        assert code == 0
    undo(conflicting, said)
    assert state(conflicting.folder) == before


def test_a_project_in_a_larger_repository_leaves_the_rest_alone(demo: Command, newborn: Newborn) -> None:
    shutil.rmtree(demo.folder / ".git")
    top = demo.folder.parent
    other = top / "other"
    other.mkdir()
    (other / "same.txt").write_text("other\n")
    edit(demo, "same.txt", 5)
    edit(demo, "moved/clash.txt", 10)
    git(top, "init", "--quiet")
    commit(top)
    (other / "same.txt").write_text("unfinished work\n")
    (other / "staged.txt").write_text("staged work\n")
    git(top, "add", "other/staged.txt")
    before = state(top)
    code, said = run_json(demo, "update", "--no-lock")
    assert (code, said["unresolved"]) == (1, ["moved here/clash.txt", "same.txt"])
    assert sorted(git(top, "diff", "--name-only", "--diff-filter=U").splitlines()) == [
        "demo/moved here/clash.txt",
        "demo/same.txt",
    ]
    assert (other / "same.txt").read_text() == "unfinished work\n"
    code, left = run_json(demo, "update", "--continue")
    assert (code, [each["path"] for each in left["unresolved"]]) == (1, ["moved here/clash.txt", "same.txt"])
    (demo.folder / "new.py").write_text("mine, and nowhere else\n")
    undo(demo, said)
    (demo.folder / "new.py").unlink()
    assert state(top) == before
    for name in ("same.txt", "moved/clash.txt"):
        shutil.copy(newborn.project / name, demo.folder / name)
    git(top, "commit", "--quiet", "--message", "as it was", "--", "demo")
    assert demo("update", "--no-lock").returncode == 0
    assert files(demo.folder) == files(newborn.fresh)
    assert (other / "same.txt").read_text() == "unfinished work\n"


def test_a_detached_head_and_a_working_tree_of_the_users_own_will_do(demo: Command, newborn: Newborn) -> None:
    tree = demo.folder.parent / "tree"
    git(demo.folder, "worktree", "add", "--quiet", "--detach", str(tree))
    # One that git could prune, say because its disk is not there now.
    git(demo.folder, "worktree", "add", "--quiet", "-b", "away", str(demo.folder.parent / "away"))
    shutil.rmtree(demo.folder.parent / "away")
    before, listed = state(demo.folder), git(tree, "worktree", "list")
    edit(demo.within(tree), "same.txt", 5)
    commit(tree)
    code, said = run_json(demo.within(tree), "update", "--no-lock")
    assert (code, said["unresolved"]) == (1, ["same.txt"])
    assert run_json(demo.within(tree), "update", "--continue")[0] == 1
    undo(demo.within(tree), said)
    assert git(tree, "status", "--porcelain", "--ignored") == ""
    assert len(git(tree, "worktree", "list").splitlines()) == len(listed.splitlines()) == 3
    assert state(demo.folder)["files"] == before["files"]
    git(demo.folder, "checkout", "--quiet", "--detach")
    assert demo("update", "--no-lock").returncode == 0
    assert files(demo.folder) == files(newborn.fresh)


def test_the_note_of_an_update_is_in_no_commit(conflicting: Command) -> None:
    assert conflicting("update", "--no-lock").returncode == 1
    notes = [path for path in conflicting.folder.rglob("aiapi-update*") if path.is_file()]
    assert [path.relative_to(conflicting.folder).parts[0] for path in notes] == [".git"]
