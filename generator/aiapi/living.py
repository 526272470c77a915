"""A project that exists: where it lies and what it records of its template."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from aiapi import conflicts, engine, git
from aiapi.errors import ProjectError, ToolError

_SKIP, _ASSUME = "--no-skip-worktree", "--no-assume-unchanged"
# What `git ls-files -v` says of files that git does not look at, and what of update-index makes it look again.
_FLAGS = {"S": (_SKIP,), "s": (_SKIP, _ASSUME), "h": (_ASSUME,)}


@dataclass(frozen=True)
class Living:
    """A project in a git repository.

    `top` is the root of its repository, `head` its last commit, and `place` the project's folder in it, as a relative
    path: "." unless several projects share a repository.
    """

    folder: Path
    top: Path
    head: str
    recorded: engine.Rendered

    @property
    def place(self) -> Path:
        """The project's folder, relative to the root of its repository."""
        return self.folder.relative_to(self.top)

    @property
    def is_whole(self) -> bool:
        """True when the repository holds nothing but the project."""
        return self.folder == self.top

    def uncommitted(self) -> tuple[str, ...]:
        """Return a line for each change that is not committed, as `git status` tells of it.

        Raises:
            ToolError: When git cannot tell.
        """
        told = git.attempt("status", "--porcelain", "--untracked-files=all", "--", ".", cwd=self.folder)
        if told.returncode:
            reason = " ".join(told.stderr.split())
            raise ToolError(f"git status failed: {reason}", remedy="Set that right, then run the command again.")
        return tuple(told.stdout.splitlines())


def root(folder: Path) -> Path | None:
    """Return the folder of the project that `folder` is or lies in; None where there is none."""
    start = folder.resolve()
    return next((each for each in (start, *start.parents) if (each / engine.ANSWERS_FILE).is_file()), None)


def overlooked(folder: Path) -> tuple[str, ...]:
    """Return a line for each file whose changes git is told to overlook, with the command that ends it."""
    told = git.attempt("ls-files", "-v", "-z", "--", ".", cwd=folder).stdout.split("\0")
    here = f"git -C {quote(str(folder))} update-index"
    return tuple(
        f"{conflicts.shown(path)}: " + " && ".join(f"{here} {flag} -- {quote(path)}" for flag in _FLAGS[tag])
        for tag, _, path in (each.partition(" ") for each in told)
        if tag in _FLAGS
    )


def refuse_unfit(living: Living) -> None:
    """Raise `ProjectError` where git is told to overlook files, which could not be kept, or Copier cannot merge."""
    if git.ask("rev-parse", "--show-object-format", cwd=living.folder) == "sha256":
        raise ProjectError(
            f"{living.top} is a repository of SHA-256 objects, in which Copier cannot merge.",
            remedy="Updates need one of SHA-1: git init --object-format=sha1 in a copy without .git, and commit all.",
        )
    if problems := overlooked(living.folder):
        raise ProjectError(
            f"git is told to overlook {len(problems)} file{'s' * (len(problems) > 1)} of {living.folder}.",
            remedy="Run the command beside each (or: git sparse-checkout disable), then this one again.",
            problems=problems[:10],
        )


def find(folder: Path) -> Living:
    """Return the project that `folder` is or lies in.

    Raises:
        ProjectError: When there is none, or it is not in a git repository that has a commit.
    """
    place = root(folder)
    if place is None:
        raise ProjectError(
            f"{folder.resolve()} is not in a project: there is no {engine.ANSWERS_FILE}.",
            remedy="Run the command in a project that `aiapi new` or `copier copy` made.",
        )
    top = git.attempt("rev-parse", "--show-toplevel", cwd=place)
    if command := git.trust(top.stderr):
        raise ProjectError(f"{place} belongs to another user.", remedy=f"If you trust it: {command}")
    head = git.ask("rev-parse", "--verify", "HEAD", cwd=place)
    if top.returncode or head is None:
        raise ProjectError(
            f"{place} is not in a git repository with a commit, which is what keeps your edits safe.",
            remedy=f"Run: cd {quote(str(place))} && git init && git add -A && git commit -m 'Before the update'",
        )
    return Living(place, Path(top.stdout.removesuffix("\n")).resolve(), head, engine.read_answers(place))
