"""An update that a kill or a power failure ends while git applies it is never taken for a complete one."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from cli.command import git
from cli.project_scenes import commit
from cli.update_scenes import edit, refused, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.command import Command

# git has written new files, removed others, truncated one and not reached another; its index is unchanged.
KILLED = """if [ "$1" = read-tree ] && [ "$2" != -n ]; then
  cp "$("$REAL" rev-parse --git-path index)" "{kept}"
  "$REAL" "$@"
  cp "{kept}" "$("$REAL" rev-parse --git-path index)"
  : > "{folder}/same.txt"
  "$REAL" -C "{folder}" show HEAD:./plain.txt > "{folder}/plain.txt"
  kill -9 $PPID
fi
exec "$REAL" "$@"
"""


@pytest.mark.parametrize("shared", [False, True], ids=["alone", "in a larger repository"])
def test_a_partially_applied_update_can_only_be_undone(
    demo: Command, stand_in: Callable[[str, str], str], *, shared: bool
) -> None:
    top = demo.folder.parent if shared else demo.folder
    if shared:
        shutil.rmtree(demo.folder / ".git")
        (top / "other.txt").write_text("other\n")
        git(top, "init", "--quiet")
        commit(top)
        (top / "other.txt").write_text("work of others\n")
        git(top, "add", "other.txt")
    before = state(top)
    path = stand_in("git", KILLED.format(kept=demo.folder.parents[1] / "index", folder=demo.folder))
    assert demo("update", "--no-lock", PATH=path).returncode == -9
    shutil.rmtree(demo.environment["TMPDIR"])
    (demo.folder.parents[1] / "temporary").mkdir()
    for arguments in (["update"], ["update", "--continue"], ["set", "task_queue=arq", "--yes"]):
        error = refused(demo, *arguments)
        assert "interrupted while it was applied" in error["message"]
        assert "--continue" not in error["remedy"]
    undo = error["remedy"].partition("run the update again: ")[2]
    subprocess.run(["sh", "-c", undo], cwd=demo.folder, check=True, capture_output=True)
    assert state(top) == before
    edit(demo, "plain.txt", 1)
    assert "1 uncommitted change" in refused(demo, "update")["message"]
    assert "There is no update to finish" in refused(demo, "update", "--continue")["message"]
    git(demo.folder, "checkout", "--quiet", "plain.txt")
    assert demo("update", "--no-lock").returncode == 0
