"""Preserve the edits that Copier would lose or misplace: merge them where they belong, or save them as `.yours`."""

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
_MERGE_FILE_FAILED = 128  # a lower exit code is the number of conflicts


@dataclass(frozen=True)
class EditPreserver:
    """Copies edits from `project`, the user's last commit, into `folder`, where Copier has merged without them.

    `renames` maps paths that the template removes to those that replace them; `scratch` is for temporary files.
    """

    project: Path
    folder: Path
    trees: Trees
    renames: Mapping[str, str]
    scratch: Path

    def preserve(self, changes: list[Change]) -> tuple[Change, ...]:
        """Preserve the edits; return the changes, each with the place where its edits are now."""
        preserved = [self._preserve(change) if change.kind in LOST else self._corrected(change) for change in changes]
        targets = {change.kept_in for change in preserved}
        # A renamed file is listed once, under its old name.
        return tuple(change for change in preserved if not (change.kind is Kind.ADDED and change.path in targets))

    def _preserve(self, change: Change) -> Change:
        path = change.path
        if self.trees.base.get(path) == self.trees.new.get(path):  # unchanged in the template
            return self._copy(change, path)
        target = self._target(change)
        merged = self._merge(path, target) if target else None
        if target and merged is not None:
            return self._put(path, target, merged)
        return self._copy(change, f"{path}{SUFFIX}")

    def _corrected(self, change: Change) -> Change:
        """Replace Copier's merge by git's where they differ: Copier's patch may match similar lines elsewhere."""
        path = change.path
        if change.kind is Kind.UPDATED and change.lines:  # Copier takes line endings that git converted for edits
            (self.folder / path).write_bytes(self.trees.new[path])
            return replace(change, lines=())
        if change.kind is not Kind.MERGED or path in self.trees.links:
            return change
        merged = self._merge(path, path)
        return change if merged in (None, self.trees.result[path]) else self._put(path, path, merged)

    def _target(self, change: Change) -> str | None:
        """Return the file into which edits can be merged; None if there is none, or it is the user's own."""
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
            worktree.mark_conflict(self.folder, target, stages, executable=executable)
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
        """Merge the edits of one path into another; None if git cannot, as with binary files."""
        contents = {
            "edited": self.trees.mine[path],
            "old": self.trees.base.get(path, b""),
            "renamed": self.trees.new[target],
        }
        for name, content in contents.items():
            (self.scratch / name).write_bytes(content)
        isolated = git.isolated_config(os.environ)
        result = git.run("merge-file", *_LABELS, *contents, cwd=self.scratch, extra=isolated)
        failed = result.returncode >= _MERGE_FILE_FAILED
        return None if failed else (self.scratch / "edited").read_bytes()
