"""An update that has been put in place and not been finished: a note in the repository, which no commit holds."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from aiapi import advice, engine, git
from aiapi.begun import begun
from aiapi.errors import ProjectError

if TYPE_CHECKING:
    from aiapi.living import Living


@dataclass(frozen=True)
class Unfinished:
    """Where an update started and where it leads.

    `head` is the commit that it was put on; once another one is there, the update is history. `tree` is what it gives,
    and `complete` is false while that is being put in place.
    """

    head: str
    before: str
    after: str
    tree: str = ""
    complete: bool = True


def write(living: Living, note: Unfinished) -> None:
    """Note how far an update is, as a whole or not at all."""
    file = _file(living)
    fresh = file.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(note)), "utf-8")
    fresh.replace(file)


def find(living: Living) -> Unfinished | None:
    """Return the update that waits to be finished, if there is one."""
    try:
        note = Unfinished(**json.loads(_file(living).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    if note.head != living.head:
        return None
    there = is_in_place(living) if note.complete else begun(note.tree, living)
    return note if there else None


def refuse_half(living: Living, note: Unfinished) -> None:
    """Raise `ProjectError` where an update was broken off while it was put in place: nobody can finish it."""
    if not note.complete:
        raise ProjectError(
            "An update was broken off while it was put in place: some files are new, others old.",
            remedy=f"Take it back, then run the update again: {undo_half(living, note.tree)}",
        )


def end(living: Living) -> None:
    """Forget the note."""
    _file(living).unlink(missing_ok=True)


def is_in_place(living: Living) -> bool:
    """Tell an update from one that was taken back: the answers that it leaves are not those of the last commit."""
    return bool(git.ask("status", "--porcelain", "--", engine.ANSWERS_FILE, cwd=living.folder))


def undo(living: Living) -> str:
    """Return the command that takes an unfinished update back and touches nothing else."""
    if living.is_whole:
        return advice.with_git(living, "reset --hard")
    # What is unmerged cannot be restored before it is staged; what is untracked is the user's, and stays so.
    here = f"git -C {quote(str(living.folder))}"
    return f"{here} add --update . && {here} restore --source=HEAD --staged --worktree ."


def undo_half(living: Living, tree: str) -> str:
    """Return the command that takes back an update of which a part is there: git knows its files by `tree` alone."""
    if living.is_whole:
        return f"{advice.with_git(living, f'read-tree {tree}')} && {undo(living)}"
    here = f"git -C {quote(str(living.folder))}"
    return f"{here} add --update . && {here} restore --source={tree} --staged . && {undo(living)}"


def _file(living: Living) -> Path:
    # One for each project, as several may share a repository.
    name = f"aiapi-update-{sha256(os.fsencode(living.place)).hexdigest()[:16]}.json"
    return living.top / Path(git.ask("rev-parse", "--git-path", name, cwd=living.top) or "")
