"""The record of an update that is applied and not finished, kept in `.git`, where no commit contains it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from aiapi import command_hints, engine, git
from aiapi.errors import ProjectError
from aiapi.partial_apply import applied_paths

if TYPE_CHECKING:
    from aiapi.project import Project


@dataclass(frozen=True)
class PendingUpdate:
    """An update from one template version to another.

    `head` is the commit to which it was applied; after another commit the record is void. `tree` is the result, and
    `complete` is false while it is being applied.
    """

    head: str
    before: str
    after: str
    tree: str = ""
    complete: bool = True


def write(project: Project, pending: PendingUpdate) -> None:
    """Replace the record atomically."""
    file = _file(project)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(pending)), "utf-8")
    fresh.replace(file)


def find(project: Project) -> PendingUpdate | None:
    """Return the update that is not finished, or None."""
    try:
        pending = PendingUpdate(**json.loads(_file(project).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    if pending.head != project.head:
        return None
    exists = is_applied(project) if pending.complete else applied_paths(pending.tree, project)
    return pending if exists else None


def refuse_partial(project: Project, pending: PendingUpdate) -> None:
    """Raise `ProjectError` if the update was interrupted while it was applied: it cannot be finished."""
    if not pending.complete:
        raise ProjectError(
            "An update was interrupted while it was applied: some files are new, others old.",
            remedy=f"Undo it, then run the update again: {undo_partial_command(project, pending.tree)}",
        )


def clear(project: Project) -> None:
    """Delete the record."""
    _file(project).unlink(missing_ok=True)


def is_applied(project: Project) -> bool:
    """Tell whether an update is applied and not undone: then the answers differ from those of the last commit."""
    return bool(git.output("status", "--porcelain", "--", engine.ANSWERS_FILE, cwd=project.folder))


def undo_command(project: Project) -> str:
    """Return the command that undoes an applied update and touches nothing else."""
    if project.fills_repository:
        return command_hints.git_command(project, "reset --hard")
    # Unmerged files must be staged before they can be restored; untracked files are the user's and stay.
    here = f"git -C {quote(str(project.folder))}"
    return f"{here} add --update . && {here} restore --source=HEAD --staged --worktree ."


def undo_partial_command(project: Project, tree: str) -> str:
    """Return the command that undoes a partially applied update, whose files git knows only from `tree`."""
    if project.fills_repository:
        return f"{command_hints.git_command(project, f'read-tree {tree}')} && {undo_command(project)}"
    here = f"git -C {quote(str(project.folder))}"
    return f"{here} add --update . && {here} restore --source={tree} --staged . && {undo_command(project)}"


def _file(project: Project) -> Path:
    # One per project, as several may share a repository.
    name = f"aiapi-update-{sha256(os.fsencode(project.place)).hexdigest()[:16]}.json"
    return project.top / Path(git.output("rev-parse", "--git-path", name, cwd=project.top) or "")
