"""An update that has been put in place and not been finished: a note in the repository, which no commit holds."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from aiapi import engine, git

if TYPE_CHECKING:
    from aiapi.living import Living


@dataclass(frozen=True)
class Unfinished:
    """Where an update started and where it leads.

    `head` is the commit that it was put on; once another one is there, the update is history.
    """

    head: str
    before: str
    after: str


def begin(living: Living, before: str, after: str) -> None:
    """Note that an update has been put in place."""
    note = Unfinished(living.head, before, after)
    _file(living).write_text(json.dumps(asdict(note)), "utf-8")


def find(living: Living) -> Unfinished | None:
    """Return the update that waits to be finished, if there is one."""
    try:
        note = Unfinished(**json.loads(_file(living).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return note if note.head == living.head and is_in_place(living) else None


def end(living: Living) -> None:
    """Forget the note."""
    _file(living).unlink(missing_ok=True)


def is_in_place(living: Living) -> bool:
    """Tell an update from one that was taken back: the answers that it leaves are not those of the last commit."""
    return bool(git.ask("status", "--porcelain", "--", engine.ANSWERS_FILE, cwd=living.folder))


def undo(living: Living) -> str:
    """Return the command that takes an unfinished update back and touches nothing else."""
    if living.folder == living.top:
        return "git reset --hard"
    # What is unmerged cannot be restored before it is staged; what is untracked is the user's, and stays so.
    here = f"git -C {quote(str(living.folder))}"
    return f"{here} add --update . && {here} restore --source=HEAD --staged --worktree ."


def _file(living: Living) -> Path:
    # One for each project, as several may share a repository.
    name = f"aiapi-update-{sha256(os.fsencode(living.place)).hexdigest()[:16]}.json"
    return living.top / Path(git.ask("rev-parse", "--git-path", name, cwd=living.top) or "")
