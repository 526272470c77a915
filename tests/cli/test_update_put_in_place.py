"""The moment in which an update is put in place, and what may go wrong just then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.command import git
from cli.update_scenes import refused, state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.command import Command

# git begins, as it does before a folder that cannot be written or on a disk that is full, and cannot go on.
HALF_DONE = """if [ "$1" = read-tree ]; then
  "$REAL" "$@" && cp "{kept}" "{index}"
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
    error = refused(demo, "update", "--no-lock", PATH=stand_in("git", HALF_DONE.format(kept=kept, index=index)))
    assert "so everything is as it was: error: unable to create file" in error["message"]
    assert demo("update", "--no-lock").returncode == 0
    assert git(demo.folder, "diff", "--name-only") == ""


def test_what_cannot_be_taken_back_is_told(demo: Command, stand_in: Callable[[str, str], str], tmp_path: Path) -> None:
    index = demo.folder / ".git/index"
    kept = tmp_path / "index"
    kept.write_bytes(index.read_bytes())
    script = HALF_DONE.format(kept=kept, index=index)
    path = stand_in("git", f'[ "$1" = checkout-index ] && [ "$2" = --force ] && exit 128\n{script}')
    result = demo("update", "--no-lock", PATH=path)
    assert result.returncode == 1
    assert "nor could what it had begun be taken back" in result.stderr
    assert " M plain.txt" in result.stderr
    assert "git restore ." in result.stderr
    before = state(demo.folder)
    git(demo.folder, "restore", ".")
    assert state(demo.folder) != before
    assert git(demo.folder, "status", "--porcelain") == ""
