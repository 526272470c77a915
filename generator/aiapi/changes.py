"""Classify what an update does to each file by comparing four trees.

`base` is the project as the old template renders it, `new` as the new template renders it, `mine` as the user committed
it, and `result` is what Copier merged from these.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from aiapi import git
from aiapi.conflicts import markers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


class Kind(StrEnum):
    """What an update does to a file."""

    ADDED = "added"
    UPDATED = "updated"
    MERGED = "merged"
    DELETED = "deleted"
    LEFT_DELETED = "left deleted"
    LEFT_LINK = "left a link"
    CONFLICT = "conflict"
    DELETED_WITH_EDITS = "deleted with your edits"
    RENAMED_WITH_EDITS = "renamed with your edits"
    BINARY_WITH_EDITS = "binary with your edits"
    NOT_MERGED = "not merged"


# Edits that Copier alone would lose.
LOST = (Kind.DELETED_WITH_EDITS, Kind.RENAMED_WITH_EDITS, Kind.BINARY_WITH_EDITS, Kind.NOT_MERGED)


@dataclass(frozen=True)
class Change:
    """What an update does to one file of the project.

    `kept_in` is the file that holds the user's edits, if it is another one; `lines` are those that open a conflict
    there, counted from 1.
    """

    path: str
    kind: Kind
    kept_in: str = ""
    lines: tuple[int, ...] = ()

    @property
    def place(self) -> str:
        """The file that holds the user's edits."""
        return self.kept_in or self.path

    @property
    def unresolved(self) -> bool:
        """True if the user has to decide."""
        return bool(self.lines) or self.kept_in.endswith(".yours")


@dataclass(frozen=True)
class Trees:
    """The contents of the four trees by path; `links` are the paths that are symbolic links in `mine`."""

    base: Mapping[str, bytes]
    new: Mapping[str, bytes]
    mine: Mapping[str, bytes]
    result: Mapping[str, bytes]
    links: frozenset[str] = frozenset()

    def classify(self) -> list[Change]:
        """Return the changes, sorted by path."""
        paths = sorted({*self.base, *self.new})
        return [Change(path, kind, lines=self._lines(path)) for path in paths if (kind := self._kind(path))]

    def _lines(self, path: str) -> tuple[int, ...]:
        return markers(self.result.get(path, b"").splitlines())

    def _kind(self, path: str) -> Kind | None:
        base, new, mine = (tree.get(path) for tree in (self.base, self.new, self.mine))
        if base == mine:
            return _untouched(base, new)
        if mine is None:
            return Kind.LEFT_DELETED if new not in (None, base) else None
        return self._edited(path, base, new, mine)

    def _edited(self, path: str, base: bytes | None, new: bytes | None, mine: bytes) -> Kind | None:
        result = self.result.get(path)
        if new is None:
            return Kind.DELETED_WITH_EDITS
        if result == mine and new in (base, mine):
            return None
        if path in self.links and result == mine:
            return Kind.LEFT_LINK
        if _is_binary(base, new, mine):
            return Kind.BINARY_WITH_EDITS if result != mine else None
        if result is None or new == base or not _keeps(base or b"", mine, result):
            return Kind.NOT_MERGED
        return Kind.CONFLICT if self._lines(path) else Kind.MERGED


def read(folder: Path, paths: Iterable[str] | None = None) -> dict[str, bytes]:
    """Read all files of a folder, or those of the given paths that exist; the content of a link is its target."""
    if paths is None:
        every = (path for path in folder.rglob("*") if path.is_symlink() or path.is_file())
        paths = [path.relative_to(folder).as_posix() for path in every]
    found = ((name, folder / name) for name in paths)
    return {
        name: str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
        for name, path in found
        if path.is_symlink() or path.is_file()
    }


def renames(base: Path, new: Path) -> dict[str, str]:
    """Map old paths to new ones for the files that git considers renamed between two folders."""
    fields = git.run(
        *("diff", "--no-index", "--no-ext-diff", "-M", "--diff-filter=R", "--name-status", "-z"),
        *(base.name, os.path.relpath(new, base.parent)),
        cwd=base.parent,
        extra=git.isolated_config(os.environ),
    ).stdout.split("\0")
    pairs = zip(fields[1::3], fields[2::3], strict=False)
    return {_below(old, base, base.parent): _below(renamed, new, base.parent) for old, renamed in pairs}


def _below(path: str, folder: Path, start: Path) -> str:
    return (start / path).relative_to(folder).as_posix()


def _untouched(base: bytes | None, new: bytes | None) -> Kind | None:
    if base == new:
        return None
    if base is None:
        return Kind.ADDED
    return Kind.DELETED if new is None else Kind.UPDATED


def _is_binary(*contents: bytes | None) -> bool:
    return any(git.is_binary(content) for content in contents if content)


def _keeps(base: bytes, mine: bytes, result: bytes) -> bool:
    """Tell whether every line that the user added is still there."""
    added = Counter(mine.splitlines()) - Counter(base.splitlines())
    return not added - Counter(result.splitlines())
