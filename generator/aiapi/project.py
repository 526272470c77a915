"""A project that exists: where it is, and which template version it records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from aiapi import conflicts, engine, git
from aiapi.errors import ProjectError

_SKIP, _ASSUME = "--no-skip-worktree", "--no-assume-unchanged"
# The tags with which `git ls-files -v` marks skipped files, and the options of update-index that clear them.
_FLAGS = {"S": (_SKIP,), "s": (_SKIP, _ASSUME), "h": (_ASSUME,)}


@dataclass(frozen=True)
class Project:
    """A project in a git repository.

    `top` is the root of its repository and `head` the last commit there.
    """

    folder: Path
    top: Path
    head: str
    recorded: engine.Rendered

    @property
    def place(self) -> Path:
        """The project's folder, relative to the root of its repository: "." unless projects share a repository."""
        return self.folder.relative_to(self.top)

    @property
    def fills_repository(self) -> bool:
        """True if the repository contains nothing but the project."""
        return self.folder == self.top

    def uncommitted_changes(self) -> tuple[str, ...]:
        """Return a line for each uncommitted change, as `git status` prints it.

        Raises:
            ToolError: If git fails.
        """
        words = ("status", "--porcelain", "--untracked-files=all", "--", ".")
        remedy = "Fix the cause, then run the command again."
        return tuple(git.checked(*words, cwd=self.folder, remedy=remedy).splitlines())


def project_root(folder: Path) -> Path | None:
    """Return the root of the project that contains `folder`, or None."""
    start = folder.resolve()
    return next((each for each in (start, *start.parents) if (each / engine.ANSWERS_FILE).is_file()), None)


def skipped_files(folder: Path) -> tuple[str, ...]:
    """Return a line for each file whose changes git skips, with the command that makes git look at it again."""
    entries = git.run("ls-files", "-v", "-z", "--", ".", cwd=folder).stdout.split("\0")
    update_index = f"git -C {quote(str(folder))} update-index"
    return tuple(
        f"{conflicts.printable(path)}: "
        + " && ".join(f"{update_index} {flag} -- {quote(path)}" for flag in _FLAGS[tag])
        for tag, _, path in (each.partition(" ") for each in entries)
        if tag in _FLAGS
    )


def require_mergeable(project: Project) -> None:
    """Raise `ProjectError` if Copier cannot merge in the repository, or git skips changes that would be lost."""
    if git.output("rev-parse", "--show-object-format", cwd=project.folder) == "sha256":
        raise ProjectError(
            f"{project.top} is a repository of SHA-256 objects, in which Copier cannot merge.",
            remedy="Updates need SHA-1: run git init --object-format=sha1 in a copy without .git, and commit all.",
        )
    if problems := skipped_files(project.folder):
        raise ProjectError(
            f"git skips changes to {len(problems)} file{'s' * (len(problems) > 1)} of {project.folder} (skip-worktree"
            " or assume-unchanged).",
            remedy="Run the command listed for each (or: git sparse-checkout disable), then this one again.",
            problems=problems[:10],
        )


def find_project(folder: Path) -> Project:
    """Return the project that contains `folder`.

    Raises:
        ProjectError: If there is none, or it is not in a git repository with a commit.
    """
    root = project_root(folder)
    if root is None:
        raise ProjectError(
            f"{folder.resolve()} is not in a project: it has no {engine.ANSWERS_FILE}.",
            remedy="Run the command in a project made by `aiapi new` or `copier copy`.",
        )
    top = git.run("rev-parse", "--show-toplevel", cwd=root)
    if command := git.trust_command(top.stderr):
        raise ProjectError(f"{root} belongs to another user.", remedy=f"If you trust it: {command}")
    head = git.output("rev-parse", "--verify", "HEAD", cwd=root)
    if top.returncode or head is None:
        raise ProjectError(
            f"{root} is not in a git repository with a commit, without which your edits would not be safe.",
            remedy=f"Run: cd {quote(str(root))} && git init && git add -A && git commit -m 'Before the update'",
        )
    return Project(root, Path(top.stdout.removesuffix("\n")).resolve(), head, engine.read_answers(root))
