"""Putting an outcome in the place of a project's clean working tree, as a whole or not at all."""

from __future__ import annotations

import os
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha1
from typing import TYPE_CHECKING

from aiapi import git, unfinished, worktree
from aiapi.errors import ProjectError, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path
    from subprocess import CompletedProcess

    from aiapi.living import Living
    from aiapi.worktree import Outcome

PATIENCE_SECONDS = 2
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


def apply(outcome: Outcome, living: Living) -> None:
    """Turn the project's clean working tree into the outcome, staged; conflicts are marked as such.

    What git begins and cannot end is taken back. `git reset --hard` takes back the whole.

    Raises:
        ProjectError: When git refuses, or something lies where the outcome puts a file; or when the outcome is in
            place and git cannot mark the conflicts.
    """
    worktree.refuse_to_bury(outcome, living)
    places = [living.top / path for path in worktree.added(outcome, living)]
    folders = {each for file in places for each in file.parents if not each.is_dir()}
    # First without writing: what git refuses by itself, say for a file that was saved just now, it does not begin.
    reason = _read_tree(outcome, living, "-n")
    if not reason and (reason := _read_tree(outcome, living)):
        _take_back(reason, outcome, living, folders)
    if reason:
        raise ProjectError(
            f"git could not put the update in place, so everything is as it was: {reason}",
            remedy="Set right what it names, then run the command again.",
        )
    if outcome.unmerged:
        _mark_conflicts(outcome, living)


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


def stage(living: Living) -> None:
    """Stage all that lies in the project, resolved conflicts included."""
    result = git.attempt("add", "--all", "--", ".", cwd=living.folder)
    if result.returncode:
        reason = " ".join(result.stderr.split())
        raise ToolError(f"git add failed: {reason}", remedy="Do it yourself, then commit.")


def _read_tree(outcome: Outcome, living: Living, *dry_run: str) -> str:
    """Let git put the outcome in place, or with `-n` only look whether it would; return why it does not."""
    words = ("read-tree", *dry_run, "-m", "-u", living.head, outcome.tree)
    result = git.attempt(*words, cwd=living.top, apart=True)
    return (" ".join(result.stderr.split()) or "no reason given") if result.returncode else ""


def _take_back(reason: str, outcome: Outcome, living: Living, folders: Iterable[Path]) -> None:
    """Put back what git had begun to change and nothing else; `folders` were not there before.

    Raises:
        ProjectError: With the reason, when some of it cannot be put back.
    """
    started = begun(outcome.tree, living)
    for path in started:
        with suppress(OSError):
            (living.top / path).unlink()
    for folder in sorted(folders, reverse=True):
        with suppress(OSError):
            folder.rmdir()
    # git writes its index last, so that it still has what was there. Without --force: what is saved now is not git's.
    before = sorted(started - worktree.added(outcome, living))
    git.attempt("checkout-index", "-u", "-z", "--stdin", cwd=living.top, given="\0".join(before), apart=True)
    left = tuple(sorted(begun(outcome.tree, living)))
    if left:
        raise ProjectError(
            f"git could not put the update in place, nor could what it had begun be taken back: {reason}",
            remedy="Set right what it names, then put these files back: git restore FILE",
            problems=left,
        )


def _mark_conflicts(outcome: Outcome, living: Living) -> None:
    entries = [entry for entry in outcome.unmerged.split("\0") if entry]
    paths = {entry.partition("\t")[2] for entry in entries}
    removed = [f"0 {'0' * 40}\t{path}" for path in sorted(paths)]
    listed = "\0".join([*removed, *entries]) + "\0"
    end = time.monotonic() + PATIENCE_SECONDS
    while (result := _update_index(listed, living)).returncode and time.monotonic() < end:
        time.sleep(0.1)  # another program, an editor say, has the index for a moment
    if result.returncode:
        reason = " ".join(result.stderr.split())
        raise ProjectError(
            f"The update is in place, but git could not mark its conflicts: {reason}",
            remedy=f"They are listed by: aiapi update --continue. Or take the update back: {unfinished.undo(living)}",
        )


def _update_index(entries: str, living: Living) -> CompletedProcess[str]:
    return git.attempt("update-index", "-z", "--index-info", cwd=living.top, given=entries, apart=True)


def _pieces(tree: str, living: Living) -> Iterator[Piece]:
    """Yield what differs between the last commit and a tree."""
    told = git.attempt("diff-tree", "-r", "-z", "--no-renames", living.head, tree, cwd=living.top).stdout.split("\0")
    for words, path in zip(told[::2], told[1::2], strict=False):
        modes_and_blobs = words.removeprefix(":").split()
        old_mode, new_mode, old_blob, new_blob = modes_and_blobs[:4]
        yield Piece(path, (old_mode, old_blob), (new_mode, new_blob))


def _kept(here: Mapping[str, Path], top: Path) -> dict[str, tuple[str, str]]:
    """Return how git would keep the files that are there: their modes and blobs."""
    files = [path for path, file in here.items() if file.is_file() and not file.is_symlink()]
    quoted = "".join('"{}"\n'.format(re.sub(r'[\\"]', r"\\\g<0>", path).replace("\n", "\\n")) for path in files)
    told = git.attempt("-c", "core.safecrlf=false", "hash-object", "--stdin-paths", cwd=top, given=quoted).stdout
    modes = ("100755" if os.access(here[path], os.X_OK) else "100644" for path in files)
    found = dict(zip(files, zip(modes, told.split(), strict=False), strict=False))
    for path, file in here.items():
        if file.is_symlink():
            target = os.fsencode(file.readlink())
            found[path] = ("120000", sha1(b"blob %d\0%b" % (len(target), target)).hexdigest())  # noqa: S324 - git's own
    return found
