"""What can go wrong while an update is applied."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.command import git
from cli.project_scenes import ANSWERS, commit
from cli.update_scenes import LINES, edit, refused, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.command import Command, Terminal
    from cli.update_scenes import Newborn

# git begins and cannot complete, as with a folder that is not writable or a full disk.
HALF_DONE = """if [ "$1" = read-tree ] && [ "$2" != -n ]; then
  "$REAL" "$@" && {work} && cp "{kept}" "{index}"
  echo "error: unable to create file odd/$0: No space left on device" >&2
  exit 128
fi
exec "$REAL" "$@"
"""


def test_what_git_begins_and_cannot_end_is_taken_back(
    demo: Command, stand_in: Callable[[str, str], str], tmp_path: Path
) -> None:
    (demo.folder / ".git/info/exclude").write_text("added.txt\n")
    index = demo.folder / ".git/index"
    kept = tmp_path / "index"
    kept.write_bytes(index.read_bytes())
    error = refused(
        demo, "update", "--no-lock", PATH=stand_in("git", HALF_DONE.format(kept=kept, index=index, work=":"))
    )
    assert "so nothing was changed: error: unable to create file" in error["message"]
    assert demo("update", "--no-lock").returncode == 0
    assert git(demo.folder, "diff", "--name-only") == ""


def test_what_is_saved_after_the_last_look_is_left_alone(demo: Command, stand_in: Callable[[str, str], str]) -> None:
    script = f'[ "$1" = read-tree ] && echo mine >> "{demo.folder}/plain.txt"\nexec "$REAL" "$@"'
    result = demo("update", "--no-lock", PATH=stand_in("git", script))
    assert result.returncode == 1
    assert "so nothing was changed: error: Entry 'plain.txt' not uptodate" in result.stderr
    assert (demo.folder / "plain.txt").read_text() == f"{LINES}mine\n"
    assert git(demo.folder, "status", "--porcelain") == "M plain.txt"


@pytest.mark.parametrize("name", ["plain.txt", "added.txt", "deleted/untouched.txt"])
def test_what_is_saved_while_git_is_at_it_is_not_taken_back(
    demo: Command, stand_in: Callable[[str, str], str], tmp_path: Path, name: str
) -> None:
    index, kept, file = demo.folder / ".git/index", tmp_path / "index", demo.folder / name
    kept.write_bytes(index.read_bytes())
    work = f'mkdir -p "{file.parent}" && echo mine > "{file}" && : > "{demo.folder}/same.txt"'
    result = demo("update", "--no-lock", PATH=stand_in("git", HALF_DONE.format(kept=kept, index=index, work=work)))
    assert result.returncode == 1
    assert file.read_text() == "mine\n"
    assert git(demo.folder, "status", "--porcelain").split() == ["??" if name == "added.txt" else "M", name]


def test_what_cannot_be_taken_back_is_told(demo: Command, stand_in: Callable[[str, str], str], tmp_path: Path) -> None:
    index = demo.folder / ".git/index"
    kept = tmp_path / "index"
    kept.write_bytes(index.read_bytes())
    script = HALF_DONE.format(kept=kept, index=index, work=":")
    before = state(demo.folder)
    path = stand_in("git", f'[ "$1" = checkout-index ] && [ "$2" = -u ] && exit 128\n{script}')
    result = demo("update", "--no-lock", PATH=path)
    assert result.returncode == 1
    assert "nor undo what it had applied" in result.stderr
    assert "  - plain.txt\n" in result.stderr
    subprocess.run(["sh", "-c", result.stderr.strip().rpartition("undo it: ")[2]], cwd=demo.folder, check=True)
    assert state(demo.folder) == before


# Once, while the update is being tried, somebody works in the project.
MEANWHILE = """if [ "$1" = apply ] && [ ! -e "{mark}" ]; then
  touch "{mark}"
  (unset GIT_CONFIG_COUNT; cd "{folder}" && {work}) >/dev/null 2>&1 </dev/null
fi
exec "$REAL" "$@"
"""
WORK = "echo mine >> mine.py"
COMMITTED = f'{WORK} && "$REAL" -c user.name=A -c user.email=a@b.c commit -qam mine'


@pytest.mark.parametrize(
    ("work", "told"),
    [
        pytest.param(WORK, "1 uncommitted change in", id="edited"),
        pytest.param("echo mine > new.py", "1 uncommitted change in", id="added"),
        pytest.param(COMMITTED, "has a new commit since the command started", id="committed"),
    ],
)
def test_work_that_is_done_while_an_update_is_tried_is_left_alone(
    demo: Command, stand_in: Callable[[str, str], str], tmp_path: Path, work: str, told: str
) -> None:
    (demo.folder / "mine.py").write_text("mine\n")
    commit(demo.folder)
    mark = tmp_path / "mark"
    path = stand_in("git", MEANWHILE.format(mark=mark, folder=demo.folder, work=work))
    result = demo("update", "--no-lock", PATH=path)
    assert mark.exists()
    assert result.returncode == 1, result.stdout
    assert told in result.stderr
    assert "_commit: v0.1.0\n" in (demo.folder / ANSWERS).read_text()
    written = demo.folder / ("new.py" if "new.py" in work else "mine.py")
    assert written.read_text().endswith("mine\n")
    assert git(demo.folder, "diff", "--cached", "--name-only") == ""
    commit(demo.folder)
    assert demo("update", "--no-lock").returncode == 0
    assert git(demo.folder, "diff", "--cached", "--name-only", "--", written.name) == ""


def test_work_that_is_done_while_the_question_stands_is_left_alone(
    demo: Command, terminal: Callable[..., Terminal], newborn: Newborn
) -> None:
    screen = terminal(
        *("set", "vector_store=qdrant", "--project", str(demo.folder)), PYTHONPATH=str(newborn.checkout / "generator")
    )
    screen.await_text("[y/N]")
    edit(demo, "same.txt", 5)
    before = state(demo.folder)
    screen.press("y\r")
    code, shown = screen.end()
    assert code == 1, shown
    assert "1 uncommitted change in" in shown
    assert "Trying the update" not in shown
    assert state(demo.folder) == before


# Another program has git's index when the conflicts are to be marked: once, or for good.
TAKEN = """[ "$1" = read-tree ] && touch "{placed}"
if [ "$1" = update-index ] && [ -e "{placed}" ]; then
  {once}
  echo "fatal: Unable to create '.git/index.lock': File exists." >&2
  exit 128
fi
exec "$REAL" "$@"
"""


def test_conflicts_are_marked_as_soon_as_git_can(
    demo: Command, stand_in: Callable[[str, str], str], tmp_path: Path
) -> None:
    edit(demo, "same.txt", 5)
    commit(demo.folder)
    placed = tmp_path / "placed"
    path = stand_in("git", TAKEN.format(placed=placed, once=f'mv "{placed}" "{placed}.once"'))
    result = demo("update", "--no-lock", PATH=path)
    assert result.returncode == 1
    assert "Left to resolve (1):" in result.stdout
    assert placed.with_suffix(".once").exists()
    assert git(demo.folder, "status", "--short", "same.txt") == "UU same.txt"


def test_conflicts_that_git_cannot_mark_are_told_and_still_to_be_decided(
    demo: Command, stand_in: Callable[[str, str], str], tmp_path: Path
) -> None:
    edit(demo, "same.txt", 5)
    commit(demo.folder)
    before = state(demo.folder)
    path = stand_in("git", TAKEN.format(placed=tmp_path / "placed", once=""))
    result = demo("update", "--no-lock", PATH=path)
    assert result.returncode == 1
    assert "The update is applied, but git could not mark its conflicts: fatal: Unable" in result.stderr
    assert "To undo the update: git reset --hard" in result.stderr
    result = demo("update", "--continue")
    assert (result.returncode, "same.txt: conflict on line 5" in result.stdout) == (1, True)
    git(demo.folder, "reset", "--hard")
    assert state(demo.folder) == before


def test_updates_of_two_projects_of_one_repository_wait_for_an_end_each(demo: Command) -> None:
    shutil.rmtree(demo.folder / ".git")
    edit(demo, "deleted/edited.txt", 2)
    other = demo.within(Path(shutil.copytree(demo.folder, demo.folder.with_name("other"), symlinks=True)))
    git(demo.folder.parent, "init", "--quiet")
    commit(demo.folder.parent)
    assert [each("update", "--no-lock").returncode for each in (demo, other)] == [1, 1]
    for each in (demo, other):
        (each.folder / "deleted/edited.txt.yours").unlink()
        result = each("update", "--continue")
        assert result.returncode == 0, result.stderr
