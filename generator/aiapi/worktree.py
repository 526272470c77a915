"""A second working tree of a project's repository, in which an update is tried before anything is touched."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiapi import git
from aiapi.errors import ProjectError, ToolError
from aiapi.interrupts import held_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from aiapi.living import Living

PATIENCE_SECONDS = 2
# A name is a name, whatever characters it has.
LITERAL = {"GITLITERAL_PATHSPECS": "1"}


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
    _git("add", "--force", "--pathspec-from-file=-", "--pathspec-file-nul", cwd=folder, given=listed, extra=LITERAL)
    return Outcome(_git("write-tree", cwd=folder).strip(), unmerged)


def refuse_to_bury(outcome: Outcome, living: Living) -> None:
    """Raise `ProjectError` when files that git does not track, ignored ones say, lie where the outcome puts others."""
    known = tracked(living.top)
    new = added(outcome, living)
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


def added(outcome: Outcome, living: Living) -> set[str]:
    """Return the paths, from the root of the repository, at which the outcome has files and the last commit none."""
    options = ("-r", "-z", "--no-renames", "--name-only", "--diff-filter=A")
    return _names("diff-tree", *options, living.head, outcome.tree, cwd=living.top)


def changes_anything(outcome: Outcome, living: Living) -> bool:
    """Tell whether the outcome differs from the project's last commit."""
    return outcome.tree != _git("rev-parse", f"{living.head}^{{tree}}", cwd=living.top).strip()


def difference(outcome: Outcome, living: Living) -> str:
    """Show line by line what the outcome changes."""
    options = ("--no-color", "--no-ext-diff", "--no-textconv", "-M")
    shown = _git("diff", *options, living.head, outcome.tree, "--", cwd=living.top)
    return shown.encode(errors="surrogateescape").decode(errors="replace")


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
