"""What of an outcome git has begun to put in the place of a project's last commit."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha1
from typing import TYPE_CHECKING

from aiapi import git

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from aiapi.living import Living

_ABSENT = ("000000", "0" * 40)


@dataclass(frozen=True)
class Piece:
    """One path, from the root of the repository, that an outcome changes: git's mode and blob, before and after."""

    path: str
    before: tuple[str, str]
    after: tuple[str, str]

    def has_become(self, mode: str, blob: str) -> bool:
        """Tell whether what is kept like this is what the outcome has; modes count where nothing else differs."""
        return blob == self.after[1] and (blob != self.before[1] or mode == self.after[0])


def begun(tree: str, living: Living) -> set[str]:
    """Return the paths at which git has begun to put `tree` in the place of the last commit.

    There lies what the tree has, whole or cut off, or nothing any more; anything else is work of the project's owner.
    """
    pieces = {piece.path: piece for piece in _pieces(tree, living)}
    here = {path: living.top / path for path in pieces}
    missing = {path for path, piece in pieces.items() if piece.before != _ABSENT and not os.path.lexists(here[path])}
    kept = _kept(here, living.top)
    whole = {path for path in kept if pieces[path].has_become(*kept[path])}
    odd = {path for path in kept if kept[path][1] not in {pieces[path].before[1], pieces[path].after[1]}}
    wanted = git.contents((pieces[path].after[1] for path in odd), living.top)
    cut = {path for path in odd if wanted.get(pieces[path].after[1], b"").startswith(here[path].read_bytes())}
    return missing | whole | cut


def hashed(paths: Iterable[str], folder: Path) -> dict[str, str]:
    """Return the blobs that git would make of those of the paths that are files and no links."""
    files = [path for path in paths if (folder / path).is_file() and not (folder / path).is_symlink()]
    quoted = "".join('"{}"\n'.format(re.sub(r'[\\"]', r"\\\g<0>", path).replace("\n", "\\n")) for path in files)
    told = git.attempt("-c", "core.safecrlf=false", "hash-object", "--stdin-paths", cwd=folder, given=quoted).stdout
    return dict(zip(files, told.split(), strict=False))


def _pieces(tree: str, living: Living) -> Iterator[Piece]:
    """Yield what differs between the last commit and a tree."""
    told = git.attempt("diff-tree", "-r", "-z", "--no-renames", living.head, tree, cwd=living.top).stdout.split("\0")
    for words, path in zip(told[::2], told[1::2], strict=False):
        modes_and_blobs = words.removeprefix(":").split()
        old_mode, new_mode, old_blob, new_blob = modes_and_blobs[:4]
        yield Piece(path, (old_mode, old_blob), (new_mode, new_blob))


def _kept(here: Mapping[str, Path], top: Path) -> dict[str, tuple[str, str]]:
    """Return how git would keep the files that are there: their modes and blobs."""
    found = {
        path: ("100755" if os.access(here[path], os.X_OK) else "100644", blob)
        for path, blob in hashed(here, top).items()
    }
    for path, file in here.items():
        if file.is_symlink():
            target = os.fsencode(file.readlink())
            found[path] = ("120000", sha1(b"blob %d\0%b" % (len(target), target)).hexdigest())  # noqa: S324 - git's own
    return found
