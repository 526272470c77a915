"""Keeping the edits that Copier would lose or misplace: put where they belong, else saved beside as `.yours`."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from aiapi import git, worktree
from aiapi.changes import LOST, Change, Kind
from aiapi.conflicts import markers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aiapi.changes import Trees

SUFFIX = ".yours"
# The labels of Copier's own conflicts, so that one search finds them all.
_LABELS = ("-L", "before updating", "-L", "last update", "-L", "after updating")
_MERGE_FILE_FAILED = 128  # below, it is the number of conflicts


@dataclass(frozen=True)
class Carrier:
    """Brings edits from `project`, as it was committed, into `folder`, where Copier has merged without them.

    `renames` maps paths that the template gives up to those that took their place; `scratch` may be written.
    """

    project: Path
    folder: Path
    trees: Trees
    renames: Mapping[str, str]
    scratch: Path

    def carry(self, changes: list[Change]) -> tuple[Change, ...]:
        """Keep what would be lost or misplaced; return the changes, each told where its edits are."""
        told = [self._carry(change) if change.kind in LOST else self._checked(change) for change in changes]
        taken = {change.kept_in for change in told}
        # The new name of a renamed file is told with the old one.
        return tuple(change for change in told if not (change.kind is Kind.ADDED and change.path in taken))

    def _carry(self, change: Change) -> Change:
        path = change.path
        if self.trees.base.get(path) == self.trees.new.get(path):  # the template leaves it alone
            return self._copy(change, path)
        target = self._target(change)
        merged = self._merge(path, target) if target else None
        if target and merged is not None:
            return self._put(path, target, merged)
        return self._copy(change, f"{path}{SUFFIX}")

    def _checked(self, change: Change) -> Change:
        """Take git's merge where Copier's is another: a patch goes to whatever lines look like those that it knows."""
        path = change.path
        if change.kind is Kind.UPDATED and change.lines:  # Copier takes line ends that git has converted for edits
            (self.folder / path).write_bytes(self.trees.new[path])
            return replace(change, lines=())
        if change.kind is not Kind.MERGED or path in self.trees.links:
            return change
        merged = self._merge(path, path)
        return change if merged in (None, self.trees.result[path]) else self._put(path, path, merged)

    def _target(self, change: Change) -> str | None:
        """Return where the edits of a file could go; None where they have no place, or it is taken."""
        if change.path in self.trees.links:
            return None
        if change.kind is Kind.NOT_MERGED:
            return change.path if change.path in self.trees.new else None
        target = self.renames.get(change.path)
        return None if target in self.trees.mine else target

    def _put(self, path: str, target: str, merged: bytes) -> Change:
        file = self.folder / target
        file.write_bytes(merged)
        edited = self.project / path
        if executable := os.access(edited, os.X_OK):
            file.chmod(0o755)
        lines = markers(merged.splitlines())
        if lines:
            mine = self.scratch / "mine as kept"
            mine.write_bytes(self.trees.mine[path])
            stages = {1: self.scratch / "old", 2: mine, 3: self.scratch / "renamed"}
            worktree.mark(self.folder, target, stages, executable=executable)
        if target != path:
            return Change(path, Kind.RENAMED_WITH_EDITS, target, lines)
        return Change(path, Kind.CONFLICT if lines else Kind.MERGED, lines=lines)

    def _copy(self, change: Change, to: str) -> Change:
        target = self.folder / to
        target.unlink(missing_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.project / change.path, target, follow_symlinks=False)
        return replace(change, kept_in=to, lines=())

    def _merge(self, path: str, target: str) -> bytes | None:
        """Merge the edits of one path into another; None where git cannot, as with binary files."""
        contents = {
            "edited": self.trees.mine[path],
            "old": self.trees.base.get(path, b""),
            "renamed": self.trees.new[target],
        }
        for name, content in contents.items():
            (self.scratch / name).write_bytes(content)
        plain = git.plain(os.environ)
        result = git.attempt("merge-file", *_LABELS, *contents, cwd=self.scratch, extra=plain)
        failed = result.returncode >= _MERGE_FILE_FAILED
        return None if failed else (self.scratch / "edited").read_bytes()
