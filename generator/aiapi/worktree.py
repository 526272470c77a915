"""A second working tree of a project's repository, in which an update is tried before anything is touched."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from aiapi import git, unfinished
from aiapi.errors import ProjectError, ToolError
from aiapi.interrupts import held_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from subprocess import CompletedProcess

    from aiapi.living import Living

PATIENCE_SECONDS = 2
# A name is a name, whatever characters it has.
_LITERAL = {"GIT_LITERAL_PATHSPECS": "1"}


@dataclass(frozen=True)
class Outcome:
    """What a try gave, as git keeps it: a tree, and the index entries of files that are in conflict."""

    tree: str
    unmerged: str


@contextmanager
def beside(living: Living, scratch: Path) -> Iterator[Path]:
    """Offer the project's last commit, checked out under `scratch`; yields the project's folder in it.

    Raises:
        ToolError: When git cannot make it.
    """
    top = scratch / "worktree"
    try:
        # The user's hooks are about the user's commits, not about a tree that lives for seconds.
        _git("worktree", "add", "--quiet", "--detach", str(top), living.head, cwd=living.top)
        yield top / living.place
    finally:
        with held_back():
            # Twice: one that was interrupted while git made it is locked. Others that git could prune are the user's.
            git.attempt("worktree", "remove", "--force", "--force", str(top), cwd=living.top, apart=True)


def tracked(folder: Path) -> set[str]:
    """Return the paths of a folder that git tracks, relative to it."""
    return _names("ls-files", "-z", cwd=folder)


def last_commit(living: Living, paths: Iterable[str], folder: Path) -> Path:
    """Write those of the project's files that it has committed under `folder`; returns the project's folder there."""
    place = living.place
    listed = "\0".join(str(place / path) for path in sorted(tracked(living.folder) & set(paths)))
    _git("checkout-index", "-z", "--stdin", f"--prefix={folder}/", cwd=living.top, given=listed)
    return folder / place


def mark(folder: Path, path: str, stages: Mapping[int, Path], *, executable: bool) -> None:
    """Let git's index say that a file is in conflict between the contents of the given files."""
    place = _prefix(folder)
    mode = "100755" if executable else "100644"
    entries = [f"0 {'0' * 40}\t{place}{path}"]
    for stage, file in stages.items():
        blob = _git("hash-object", "-w", "--no-filters", "--", str(file), cwd=folder).strip()
        entries.append(f"{mode} {blob} {stage}\t{place}{path}")
    _git("update-index", "-z", "--index-info", cwd=folder, given="\0".join(entries) + "\0")


def record(folder: Path, owned: Iterable[str], conflicts: Iterable[str]) -> Outcome:
    """Keep what lies in `folder` as a tree, with `conflicts` marked as such; `owned` belong to it even if ignored."""
    entries = _names("ls-files", "-z", "--unmerged", cwd=folder)
    # Copier marks by pattern, and so more than it should where names have characters like * in them.
    prefix, wanted = _prefix(folder), set(conflicts)
    told = [entry.partition("\t") for entry in sorted(entries)]
    unmerged = "\0".join(f"{stage}\t{prefix}{path}" for stage, _, path in told if path in wanted)
    _git("add", "--all", "--", ".", cwd=folder)
    listed = "\0".join(path for path in owned if os.path.lexists(folder / path))
    _git("add", "--force", "--pathspec-from-file=-", "--pathspec-file-nul", cwd=folder, given=listed, extra=_LITERAL)
    return Outcome(_git("write-tree", cwd=folder).strip(), unmerged)


def refuse_to_bury(outcome: Outcome, living: Living) -> None:
    """Raise `ProjectError` when files that git does not track, ignored ones say, lie where the outcome puts others."""
    known = tracked(living.top)
    new = _differing("A", outcome, living)
    places = {str(each) for path in new for each in (Path(path), *Path(path).parents)} - known
    buried = [path for path in places if (living.top / path).is_symlink() or (living.top / path).is_file()]
    for path in new:
        folder = living.top / path
        if folder.is_dir() and not folder.is_symlink():
            inside = (each for each in folder.rglob("*") if not each.is_dir() or each.is_symlink())
            buried += [name for each in inside if (name := str(each.relative_to(living.top))) not in known]
    if buried:
        raise ProjectError(
            "The update has files where you have others that git does not track; nothing was changed.",
            remedy="Move them away, or commit them (git add --force), then run the command again.",
            problems=tuple(sorted(buried)),
        )


def changes_anything(outcome: Outcome, living: Living) -> bool:
    """Tell whether the outcome differs from the project's last commit."""
    return outcome.tree != _git("rev-parse", f"{living.head}^{{tree}}", cwd=living.top).strip()


def apply(outcome: Outcome, living: Living) -> None:
    """Turn the project's clean working tree into the outcome, staged; conflicts are marked as such.

    What git begins and cannot end is taken back. `git reset --hard` takes back the whole.

    Raises:
        ProjectError: When git refuses, or something lies where the outcome puts a file; or when the outcome is in
            place and git cannot mark the conflicts.
    """
    refuse_to_bury(outcome, living)
    added = [living.top / path for path in _differing("A", outcome, living)]
    folders = {each for file in added for each in file.parents if not each.exists()}
    result = git.attempt("read-tree", "-m", "-u", living.head, outcome.tree, cwd=living.top, apart=True)
    if result.returncode:
        reason = " ".join(result.stderr.split())
        _take_back(reason, outcome, living, (added, folders))
    if outcome.unmerged:
        _mark_conflicts(outcome, living)


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


def _take_back(reason: str, outcome: Outcome, living: Living, new: tuple[Iterable[Path], Iterable[Path]]) -> NoReturn:
    """Put back what git had begun to change, and raise `ProjectError` with the reason; `new` was not there before."""
    added, folders = new
    if living.uncommitted() or any(map(os.path.lexists, added)):
        for file in added:
            with suppress(OSError):
                file.unlink()
        for folder in sorted(folders, reverse=True):
            with suppress(OSError):
                folder.rmdir()
        # git writes its index last, so that it still has what was there.
        listed = "\0".join(_differing("MDT", outcome, living))
        git.attempt("checkout-index", "--force", "-u", "-z", "--stdin", cwd=living.top, given=listed, apart=True)
    left = living.uncommitted()
    if left:
        raise ProjectError(
            f"git could not put the update in place, nor could what it had begun be taken back: {reason}",
            remedy="Set right what it names, then put the files back that git status names: git restore .",
            problems=left,
        )
    raise ProjectError(
        f"git could not put the update in place, so everything is as it was: {reason}",
        remedy="Set right what it names, then run the command again.",
    )


def stage(living: Living) -> None:
    """Stage all that lies in the project, resolved conflicts included."""
    result = git.attempt("add", "--all", "--", ".", cwd=living.folder)
    if result.returncode:
        reason = " ".join(result.stderr.split())
        raise ToolError(f"git add failed: {reason}", remedy="Do it yourself, then commit.")


def difference(outcome: Outcome, living: Living) -> str:
    """Show line by line what the outcome changes."""
    options = ("--no-color", "--no-ext-diff", "--no-textconv", "-M")
    shown = _git("diff", *options, living.head, outcome.tree, "--", cwd=living.top)
    return shown.encode(errors="surrogateescape").decode(errors="replace")


def _differing(how: str, outcome: Outcome, living: Living) -> set[str]:
    """Return the paths that the outcome adds (A), changes (M), deletes (D) or makes a link (T)."""
    options = ("-r", "-z", "--no-renames", "--name-only", f"--diff-filter={how}")
    return _names("diff-tree", *options, living.head, outcome.tree, cwd=living.top)


def _prefix(folder: Path) -> str:
    return _git("rev-parse", "--show-prefix", cwd=folder).removesuffix("\n")


def _names(*arguments: str, cwd: Path) -> set[str]:
    return set(_git(*arguments, cwd=cwd).split("\0")) - {""}


def _git(*arguments: str, cwd: Path, given: str | None = None, extra: Mapping[str, str] | None = None) -> str:
    result = git.attempt(*arguments, cwd=cwd, given=given, extra={**git.plain(os.environ), **(extra or {})})
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ToolError(f"git failed: {reason}", remedy="Nothing was changed.")
    return result.stdout
