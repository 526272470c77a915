"""What a merge may leave for the user to resolve: conflict markers, `.rej` files and `.yours` files."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from shlex import quote
from typing import TYPE_CHECKING

from aiapi import git
from aiapi.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO

# Copier's own labels count even alone: a conflict of which half was removed is still a conflict.
_COPIERS = (b"<<<<<<< before updating", b">>>>>>> after updating")
_OPEN, _DIVIDE, _CLOSE = b"<<<<<<<", b"=======", b">>>>>>>"
_CHUNK = 2**20


class Kind(StrEnum):
    """The form of a leftover."""

    MARKERS = "conflict markers"
    UNMERGED = "unmerged in git's index"
    REJECTED = "rejected change"
    SAVED = "saved edit"


SUFFIXES = {".rej": Kind.REJECTED, ".yours": Kind.SAVED}


@dataclass(frozen=True)
class Leftover:
    """Something that a merge left in one file.

    `path` is relative to the project, with forward slashes; `lines` are those that open a conflict, counted from 1.
    """

    path: str
    kind: Kind
    lines: tuple[int, ...] = ()

    def __str__(self) -> str:
        """Return the path, the lines and the kind, printable on any terminal."""
        where = f":{','.join(map(str, self.lines))}" if self.lines else ""
        return f"{printable(self.path)}{where} ({self.kind})"


def printable(path: str) -> str:
    """Return a path in a form that any terminal can print, whatever its bytes are."""
    return path if path.isprintable() else ascii(path)


def find(folder: Path) -> tuple[Leftover, ...]:
    """Return the project's leftovers, sorted by path.

    They are searched in the files that differ from the last commit, and among ignored `.rej` and `.yours` files.

    Raises:
        ProjectError: If `folder` is in no git repository, or a file cannot be read.
        ToolError: If git fails.
    """
    _require_repository(folder)
    known = {*_changed(folder), *git.names("ls-files", "--others", "--exclude-standard", cwd=folder)}
    ignored = git.names("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", cwd=folder)
    left = {path: kind for path in (*known, *ignored) if (kind := _kind(path)) and _is_file(folder / path)}
    found = [Leftover(path, kind) for path, kind in left.items()]
    found += [Leftover(path, Kind.UNMERGED) for path in _unmerged(folder)]
    for path in known - left.keys():
        if lines := _marked(folder, path):
            found.append(Leftover(path, Kind.MARKERS, lines))
    return tuple(sorted(found, key=lambda each: (each.path, each.kind)))


def markers(lines: Iterable[bytes]) -> tuple[int, ...]:
    """Return the numbers of the lines that open a conflict of Copier's or git's, or all that is left of one."""
    found: set[int] = set()
    opened: list[int] = []
    divided = False
    for number, raw in enumerate(lines, start=1):
        line = raw.rstrip()
        if line in _COPIERS and (line == _COPIERS[0] or not opened):
            found.add(number)
        if _is_marker(line, _OPEN):
            opened, divided = [*opened, number], False
        elif line == _DIVIDE and opened:
            divided = True
        elif _is_marker(line, _CLOSE):
            found.update(opened if divided else ())
            opened, divided = [], False
    return tuple(sorted(found))


def _require_repository(folder: Path) -> None:
    result = git.run("rev-parse", "--git-dir", cwd=folder)
    if command := git.trust_command(result.stderr):
        raise ProjectError(f"{folder} belongs to another user.", remedy=f"If you trust it: {command}")
    if result.returncode:
        commands = f"cd {quote(str(folder))} && git init && git add -A && git commit -m 'Before the update'"
        raise ProjectError(
            f"git cannot list the files of {folder}: {git.reason(result)}", remedy=f"Updates need git: {commands}"
        )


def _is_marker(line: bytes, mark: bytes) -> bool:
    return line == mark or line.startswith(mark + b" ")


def _kind(path: str) -> Kind | None:
    return next((kind for suffix, kind in SUFFIXES.items() if path.endswith(suffix)), None)


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _marked(folder: Path, path: str) -> tuple[int, ...]:
    file = folder / path
    if not _is_file(file):
        return ()
    try:
        with file.open("rb") as content:
            if not _may_be_marked(content):
                return ()
            content.seek(0)
            return markers(_lines(content))
    except OSError as error:
        raise ProjectError(f"{file} cannot be read: {error.strerror}.") from error


def _may_be_marked(content: BinaryIO) -> bool:
    """Tell, reading a chunk at a time, whether a file is worth a closer look; most are not."""
    before = b""
    while chunk := content.read(_CHUNK):
        if not before and git.is_binary(chunk):
            return False
        if any(mark in before + chunk for mark in (_OPEN, _CLOSE)):
            return True
        before = chunk[-len(_OPEN) :]
    return False


def _lines(content: BinaryIO) -> Iterator[bytes]:
    """Yield the beginning of every line, however long the line is."""
    fresh = True
    while chunk := content.readline(_CHUNK):
        if fresh:
            yield chunk
        fresh = chunk.endswith(b"\n")


def _changed(folder: Path) -> list[str]:
    """Return the tracked files that differ from the last commit; without a commit, all tracked files."""
    if git.output("rev-parse", "--verify", "--quiet", "HEAD", cwd=folder) is None:
        return git.names("ls-files", "--cached", cwd=folder)
    return git.names("diff", "--name-only", "--no-renames", "--no-ext-diff", "--relative", "HEAD", cwd=folder)


def _unmerged(folder: Path) -> set[str]:
    return {entry.partition("\t")[2] for entry in git.names("ls-files", "--unmerged", cwd=folder)}
