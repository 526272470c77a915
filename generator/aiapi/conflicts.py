"""What a merge may leave in a project for its owner to decide: conflict markers, `.rej` and `.yours` files."""

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

# Copier's own labels count even alone: half of a conflict that was taken out is still a conflict.
_COPIERS = (b"<<<<<<< before updating", b">>>>>>> after updating")
_OPEN, _DIVIDE, _CLOSE = b"<<<<<<<", b"=======", b">>>>>>>"
_CHUNK = 2**20
_BINARY_PROBE = 8000  # git's own rule: a zero byte this early


class Kind(StrEnum):
    """In what form something was left."""

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
        """Name the file, the lines and the form, in one line that any terminal can show."""
        where = f":{','.join(map(str, self.lines))}" if self.lines else ""
        return f"{shown(self.path)}{where} ({self.kind})"


def shown(path: str) -> str:
    """Return a path as any terminal can show it, whatever its bytes are."""
    return path if path.isprintable() else ascii(path)


def find(folder: Path) -> tuple[Leftover, ...]:
    """Return what is left in the project, by path.

    Seen are the files that are not as the last commit has them, and `.rej` and `.yours` files that git ignores.

    Raises:
        ProjectError: When `folder` is in no git repository, or a file in it cannot be read.
    """
    known = {*_changed(folder), *_names("ls-files", "--others", "--exclude-standard", cwd=folder)}
    ignored = _names("ls-files", "--others", "--ignored", "--exclude-standard", "--directory", cwd=folder)
    left = {path: kind for path in (*known, *ignored) if (kind := _kind(path)) and _is_file(folder / path)}
    found = [Leftover(path, kind) for path, kind in left.items()]
    found += [Leftover(path, Kind.UNMERGED) for path in _unmerged(folder)]
    for path in known - left.keys():
        if lines := _marked(folder, path):
            found.append(Leftover(path, Kind.MARKERS, lines))
    return tuple(sorted(found, key=lambda each: (each.path, each.kind)))


def markers(lines: Iterable[bytes]) -> tuple[int, ...]:
    """Return the numbers of the lines that open a conflict, Copier's or git's; of half a conflict, what is there."""
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
    """Tell whether a closer look is worth it: most files are done with here, a piece at a time."""
    before = b""
    while piece := content.read(_CHUNK):
        if not before and b"\0" in piece[:_BINARY_PROBE]:
            return False
        if any(mark in before + piece for mark in (_OPEN, _CLOSE)):
            return True
        before = piece[-len(_OPEN) :]
    return False


def _lines(content: BinaryIO) -> Iterator[bytes]:
    """Yield the beginning of every line, however long the line is."""
    fresh = True
    while piece := content.readline(_CHUNK):
        if fresh:
            yield piece
        fresh = piece.endswith(b"\n")


def _changed(folder: Path) -> list[str]:
    """Return the files that git tracks and that differ from the last commit; all of them where there is none."""
    if git.ask("rev-parse", "--verify", "--quiet", "HEAD", cwd=folder) is None:
        return _names("ls-files", "--cached", cwd=folder)
    return _names("diff", "--name-only", "--no-renames", "--no-ext-diff", "--relative", "HEAD", cwd=folder)


def _unmerged(folder: Path) -> set[str]:
    return {entry.partition("\t")[2] for entry in _names("ls-files", "--unmerged", cwd=folder)}


def _names(*arguments: str, cwd: Path) -> list[str]:
    result = git.attempt(*arguments, "-z", cwd=cwd)
    if result.returncode:
        if command := git.trust(result.stderr):
            raise ProjectError(f"{cwd} belongs to another user.", remedy=f"If you trust it: {command}")
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        remedy = (
            f"Updates need git: cd {quote(str(cwd))} && git init && git add -A && git commit -m 'Before the update'"
        )
        raise ProjectError(f"git cannot list the files of {cwd}: {reason}", remedy=remedy)
    return [name for name in result.stdout.split("\0") if name]
