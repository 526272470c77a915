"""Apply an outcome to a project's clean working tree, completely or not at all."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from aiapi import command_hints, git, update_state, worktree
from aiapi.errors import ProjectError
from aiapi.partial_apply import applied_paths, blob_ids
from aiapi.preserve_edits import SUFFIX
from aiapi.update_state import PendingUpdate

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from subprocess import CompletedProcess

    from aiapi.project import Project
    from aiapi.worktree import Outcome

PATIENCE_SECONDS = 2


def apply_outcome(outcome: Outcome, project: Project, before: str, after: str) -> None:
    """Turn the project's clean working tree into the outcome: staged, with conflicts marked, and recorded.

    What git starts and cannot complete is undone. `before` and `after` are the versions of the template.

    Raises:
        ProjectError: If git refuses, if untracked files are in the way, or if the outcome is applied and git cannot
            mark the conflicts.
    """
    worktree.refuse_to_overwrite(outcome, project)
    places = [project.top / path for path in worktree.added_paths(outcome, project)]
    folders = {each for file in places for each in file.parents if not each.is_dir()}
    # A dry run first: git does not start what it can refuse at once, because of a file that was saved just now, say.
    if reason := _read_tree(outcome, project, "-n"):
        raise _refusal(reason)
    # Recorded first, so that an update that was partially applied, before a power failure say, is recognised as such.
    pending = PendingUpdate(project.head, before, after, outcome.tree, complete=False)
    update_state.write(project, pending)
    if reason := _read_tree(outcome, project):
        _undo(reason, outcome, project, folders)
        update_state.clear(project)
        raise _refusal(reason)
    update_state.write(project, replace(pending, complete=True))
    if outcome.unmerged:
        _mark_conflicts(outcome, project)


def stage_resolved(project: Project, pending: PendingUpdate) -> tuple[str, ...]:
    """Stage the update, resolved conflicts included; return the untracked files that are left unstaged.

    These are the user's, and an undo of the update must not delete them.

    Raises:
        ToolError: If git fails.
    """
    untracked = git.names("ls-files", "--others", "--exclude-standard", cwd=project.folder)
    listed = git.names("ls-tree", "-r", pending.tree, ".", cwd=project.folder)
    blobs = {path: blob for words, _, path in (each.partition("\t") for each in listed) for blob in words.split()[2:]}
    # The user may have renamed a saved edit, to keep it.
    saved = {blob for path, blob in blobs.items() if path.endswith(SUFFIX)}
    ids = blob_ids(untracked, project.folder) if saved else {}
    ours = [path for path in untracked if path in blobs or ids.get(path) in saved]
    options = ("--pathspec-from-file=-", "--pathspec-file-nul")
    for words, paths in ((("--update",), ["."]), ((), ours)):
        listing = "\0".join(paths)
        remedy = "Run git add yourself, then commit."
        git.checked("add", *words, *options, cwd=project.folder, remedy=remedy, stdin=listing, extra=git.LITERAL_PATHS)
    return tuple(path for path in untracked if path not in ours)


def _read_tree(outcome: Outcome, project: Project, *dry_run: str) -> str:
    """Apply the outcome, or with `-n` check whether git would; return the reason if it does not."""
    words = ("read-tree", *dry_run, "-m", "-u", project.head, outcome.tree)
    result = git.run(*words, cwd=project.top, new_session=True)
    return git.reason(result) if result.returncode else ""


def _refusal(reason: str) -> ProjectError:
    return ProjectError(
        f"git could not apply the update, so nothing was changed: {reason}",
        remedy="Fix the cause, then run the command again.",
    )


def _undo(reason: str, outcome: Outcome, project: Project, folders: Iterable[Path]) -> None:
    """Undo what git has changed, and nothing else; `folders` did not exist before.

    Raises:
        ProjectError: With the reason, if some of it cannot be undone.
    """
    applied = applied_paths(outcome.tree, project)
    for path in applied:
        with suppress(OSError):
            (project.top / path).unlink()
    for folder in sorted(folders, reverse=True):
        with suppress(OSError):
            folder.rmdir()
    # git writes its index last, so it still lists the old files. Without --force: a file saved just now is the user's.
    before = sorted(applied - worktree.added_paths(outcome, project))
    git.run("checkout-index", "-u", "-z", "--stdin", cwd=project.top, stdin="\0".join(before), new_session=True)
    left = tuple(sorted(applied_paths(outcome.tree, project)))
    if left:
        raise ProjectError(
            f"git could not apply the update, nor undo what it had applied: {reason}",
            remedy=f"Fix the cause, then undo it: {update_state.undo_partial_command(project, outcome.tree)}",
            problems=left,
        )


def _mark_conflicts(outcome: Outcome, project: Project) -> None:
    entries = [entry for entry in outcome.unmerged.split("\0") if entry]
    paths = {entry.partition("\t")[2] for entry in entries}
    removed = [f"0 {'0' * 40}\t{path}" for path in sorted(paths)]
    listed = "\0".join([*removed, *entries]) + "\0"
    end = time.monotonic() + PATIENCE_SECONDS
    while (result := _update_index(listed, project)).returncode and time.monotonic() < end:
        time.sleep(0.1)  # another program, like an editor, may lock the index for a moment
    if result.returncode:
        raise ProjectError(
            f"The update is applied, but git could not mark its conflicts: {git.reason(result)}",
            remedy=f"To list them: {command_hints.aiapi_command(project, 'update --continue')}. "
            f"To undo the update: {update_state.undo_command(project)}",
        )


def _update_index(entries: str, project: Project) -> CompletedProcess[str]:
    return git.run("update-index", "-z", "--index-info", cwd=project.top, stdin=entries, new_session=True)
