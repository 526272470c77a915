"""A temporary working tree of a project's repository, in which an update is tried before anything is touched."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiapi import git
from aiapi.errors import ProjectError
from aiapi.interrupts import held_back

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from aiapi.project import Project


@dataclass(frozen=True)
class Outcome:
    """The result of a merge as git stores it: a tree, and the index entries of the files in conflict."""

    tree: str
    unmerged: str


@contextmanager
def temporary_worktree(project: Project, scratch: Path) -> Iterator[Path]:
    """Check out the project's last commit under `scratch`, and yield the project's folder in it.

    Raises:
        ToolError: If git fails.
    """
    top = scratch / "worktree"
    try:
        # The user's hooks are meant for the user's commits, not for a tree that exists for seconds.
        _git("worktree", "add", "--quiet", "--detach", str(top), project.head, cwd=project.top)
        yield top / project.place
    finally:
        with held_back():
            # Forced twice: a worktree whose creation was interrupted is locked. No pruning: other worktrees are the
            # user's.
            git.run("worktree", "remove", "--force", "--force", str(top), cwd=project.top, new_session=True)


def tracked(folder: Path) -> set[str]:
    """Return the paths that git tracks in a folder, relative to it."""
    return _names("ls-files", cwd=folder)


def export_last_commit(project: Project, paths: Iterable[str], folder: Path) -> Path:
    """Write the committed files among the project's paths under `folder`; return the project's folder there."""
    place = project.place
    listed = "\0".join(str(place / path) for path in sorted(tracked(project.folder) & set(paths)))
    _git("checkout-index", "-z", "--stdin", f"--prefix={folder}/", cwd=project.top, stdin=listed)
    return folder / place


def mark_conflict(folder: Path, path: str, stages: Mapping[int, Path], *, executable: bool) -> None:
    """Mark a file in git's index as in conflict between the contents of the given files."""
    place = _prefix(folder)
    mode = "100755" if executable else "100644"
    entries = [f"0 {'0' * 40}\t{place}{path}"]
    for stage, file in stages.items():
        blob = _git("hash-object", "-w", "--no-filters", "--", str(file), cwd=folder).strip()
        entries.append(f"{mode} {blob} {stage}\t{place}{path}")
    _git("update-index", "-z", "--index-info", cwd=folder, stdin="\0".join(entries) + "\0")


def write_outcome(folder: Path, owned: Iterable[str], conflicts: Iterable[str]) -> Outcome:
    """Store the files in `folder` as a tree, with `conflicts` unmerged; `owned` files are included even if ignored."""
    entries = _names("ls-files", "--unmerged", cwd=folder)
    # Copier marks conflicts by pattern, which is too much if names contain characters like *.
    prefix, wanted = _prefix(folder), set(conflicts)
    fields = [entry.partition("\t") for entry in sorted(entries)]
    unmerged = "\0".join(f"{stage}\t{prefix}{path}" for stage, _, path in fields if path in wanted)
    _git("add", "--all", "--", ".", cwd=folder)
    listed = "\0".join(path for path in owned if os.path.lexists(folder / path))
    options = ("--force", "--pathspec-from-file=-", "--pathspec-file-nul")
    _git("add", *options, cwd=folder, stdin=listed, extra=git.LITERAL_PATHS)
    return Outcome(_git("write-tree", cwd=folder).strip(), unmerged)


def refuse_to_overwrite(outcome: Outcome, project: Project) -> None:
    """Raise `ProjectError` if the outcome has files where the user has untracked ones, ignored ones included."""
    known = tracked(project.top)
    new = added_paths(outcome, project)
    places = {str(each) for path in new for each in (Path(path), *Path(path).parents)} - known
    taken = [path for path in places if (project.top / path).is_symlink() or (project.top / path).is_file()]
    for path in new:
        folder = project.top / path
        if folder.is_dir() and not folder.is_symlink():
            inside = (each for each in folder.rglob("*") if not each.is_dir() or each.is_symlink())
            taken += [name for each in inside if (name := str(each.relative_to(project.top))) not in known]
    if taken:
        raise ProjectError(
            "The update would overwrite untracked files, so nothing was changed.",
            remedy="Move them away, or commit them (git add --force), then run the command again.",
            problems=tuple(sorted(taken)),
        )


def added_paths(outcome: Outcome, project: Project) -> set[str]:
    """Return the files, relative to the repository, that the outcome has and the last commit has not."""
    options = ("-r", "--no-renames", "--name-only", "--diff-filter=A")
    return _names("diff-tree", *options, project.head, outcome.tree, cwd=project.top)


def changes_anything(outcome: Outcome, project: Project) -> bool:
    """Tell whether the outcome differs from the project's last commit."""
    return outcome.tree != _git("rev-parse", f"{project.head}^{{tree}}", cwd=project.top).strip()


def diff(outcome: Outcome, project: Project) -> str:
    """Return the difference between the last commit and the outcome, line by line."""
    options = ("--no-color", "--no-ext-diff", "--no-textconv", "-M")
    text = _git("diff", *options, project.head, outcome.tree, "--", cwd=project.top)
    return text.encode(errors="surrogateescape").decode(errors="replace")


def _prefix(folder: Path) -> str:
    return _git("rev-parse", "--show-prefix", cwd=folder).removesuffix("\n")


def _names(command: str, *arguments: str, cwd: Path) -> set[str]:
    return set(git.names(command, *arguments, cwd=cwd, extra=git.isolated_config(os.environ)))


def _git(*arguments: str, cwd: Path, stdin: str | None = None, extra: Mapping[str, str] | None = None) -> str:
    variables = {**git.isolated_config(os.environ), **(extra or {})}
    return git.checked(*arguments, cwd=cwd, remedy="Nothing was changed.", stdin=stdin, extra=variables)
