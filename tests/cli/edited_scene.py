"""A project with every sort of edit that a user can make, and what its update gives."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.command import Command, git
from cli.project_scenes import commit
from cli.update_scenes import LINES, ODD_NAMES, PATTERN, PICTURE, PROSE, changed, edit

if TYPE_CHECKING:
    from cli.update_scenes import Newborn

MINE = PICTURE + b"mine"
# One sentence of a file that moves, edited where the release leaves it alone.
MOVED_EDIT = changed(PROSE, 3, "changed by me")


@dataclass(frozen=True)
class Updated:
    """The project before and after, and what the command said."""

    demo: Command
    code: int
    said: dict[str, Any]
    before: dict[str, tuple[bool, bytes]]
    after: dict[str, tuple[bool, bytes]]

    def text(self, name: str) -> str:
        """Return the content of a file, as it is afterwards."""
        return self.after[name][1].decode()

    def change(self, name: str) -> dict[str, Any]:
        """Return what the command said of a file, without its name; empty where it said nothing."""
        found = [dict(change) for change in self.said["changes"] if change["path"] == name]
        for change in found:
            del change["path"]
        assert len(found) < 2
        return found[0] if found else {}

    def stages(self, name: str) -> dict[str, str]:
        """Return what git's index has of a file: its content by stage."""
        listed = git(self.demo.folder, "--literal-pathspecs", "ls-files", "--stage", "--", name).splitlines()
        words = [line.split("\t")[0].split() for line in listed]
        return {stage: git(self.demo.folder, "cat-file", "blob", blob) for _, blob, stage in words}


def make_edited(aiapi: Command, newborn: Newborn) -> Command:
    """Copy the new project, make the edits in it and commit them."""
    demo = aiapi.within(Path(shutil.copytree(newborn.project, aiapi.folder / "demo", symlinks=True)))
    _edit_everything(demo)
    commit(demo.folder)
    return demo


def _edit_everything(demo: Command) -> None:
    folder = demo.folder
    edit(demo, "elsewhere.txt", 25)
    for line in (5, 20):
        edit(demo, "same.txt", line)
    (folder / "forsaken.txt").unlink()
    edit(demo, "bin/gone.sh", 2)
    (folder / "plain.txt").chmod(0o755)
    edit(demo, "deleted/edited.txt", 2)
    (folder / "deleted/picture.png").write_bytes(MINE)
    (folder / "deleted/mine.txt").write_text("mine\n")
    for name in ("edited", "taken"):
        edit(demo, f"moved/{name}.txt", 3)
    edit(demo, "moved/clash.txt", 10)
    (folder / "moved here").mkdir()
    (folder / "moved here/taken.txt").write_text("mine\n")
    for name in ("picture.png", "picture_kept.png"):
        (folder / name).write_bytes(MINE)
    (folder / "linked.txt").unlink()
    (folder / "linked.txt").symlink_to("plain.txt")
    for name in ("windows.txt", "endless.txt", *(name for name in ODD_NAMES if name != PATTERN)):
        edit(demo, name, 20)
    edit(demo, PATTERN, 3)
    (folder / "odd/a1.txt").write_text("matches the pattern that its neighbour's name is\n")
    for name in ("empty.txt", "filled.txt"):
        (folder / name).write_text("mine\n")
    edit(demo, "emptied.txt", 20)
    (folder / "added_by_both.txt").write_text(changed(LINES, 7, "mine"))
    (folder / "added_alike.txt").write_text(LINES)
    edit(demo, "README.md", 8, "My own chapter.")
    edit(demo, "routes.py", 8, "    admins_only(caller)\n    run(caller)")
    for name in ("unshown.txt", "unshown_kept.txt"):
        (folder / name).write_text(LINES.replace("line 25\n", ""))
    (folder / "src").mkdir()
    (folder / "src/feature.py").write_text("mine = True\n")
    (folder / ".gitignore").write_text("*.yours\nelsewhere.txt\n")
