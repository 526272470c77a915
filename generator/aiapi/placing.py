"""Putting an outcome in the place of a project's clean working tree, as a whole or not at all."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from aiapi import advice, git, unfinished, worktree
from aiapi.begun import begun, hashed
from aiapi.carry import SUFFIX
from aiapi.errors import ProjectError, ToolError
from aiapi.unfinished import Unfinished

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from subprocess import CompletedProcess

    from aiapi.living import Living
    from aiapi.worktree import Outcome

PATIENCE_SECONDS = 2


def apply(outcome: Outcome, living: Living, before: str, after: str) -> None:
    """Turn the project's clean working tree into the outcome, staged and noted; conflicts are marked as such.

    What git begins and cannot end is taken back. `before` and `after` are the versions of the template.

    Raises:
        ProjectError: When git refuses, or something lies where the outcome puts a file; or when the outcome is in
            place and git cannot mark the conflicts.
    """
    worktree.refuse_to_bury(outcome, living)
    places = [living.top / path for path in worktree.added(outcome, living)]
    folders = {each for file in places for each in file.parents if not each.is_dir()}
    # First without writing: what git refuses by itself, say for a file that was saved just now, it does not begin.
    if reason := _read_tree(outcome, living, "-n"):
        raise _refusal(reason)
    # The note comes first, so that an update of which a part is there, after a power cut say, is known as such.
    note = Unfinished(living.head, before, after, outcome.tree, complete=False)
    unfinished.write(living, note)
    if reason := _read_tree(outcome, living):
        _take_back(reason, outcome, living, folders)
        unfinished.end(living)
        raise _refusal(reason)
    unfinished.write(living, replace(note, complete=True))
    if outcome.unmerged:
        _mark_conflicts(outcome, living)


def stage(living: Living, note: Unfinished) -> tuple[str, ...]:
    """Stage the project, resolved conflicts included; return the untracked files that are left as they are.

    Those are their owner's, and what takes an update back must not take them along.
    """
    others = _names("ls-files", "--others", "--exclude-standard", "-z", cwd=living.folder)
    listed = _names("ls-tree", "-r", "-z", note.tree, ".", cwd=living.folder)
    given = {path: blob for words, _, path in (each.partition("\t") for each in listed) for blob in words.split()[2:]}
    # Its owner may have renamed what was saved beside a file, to keep it.
    saved = {blob for path, blob in given.items() if path.endswith(SUFFIX)}
    kept = hashed(others, living.folder) if saved else {}
    ours = [path for path in others if path in given or kept.get(path) in saved]
    for words, paths in ((("--update",), ["."]), ((), ours)):
        options = ("--pathspec-from-file=-", "--pathspec-file-nul")
        result = git.attempt("add", *words, *options, cwd=living.folder, given="\0".join(paths), extra=worktree.LITERAL)
        if result.returncode:
            reason = " ".join(result.stderr.split())
            raise ToolError(f"git add failed: {reason}", remedy="Do it yourself, then commit.")
    return tuple(path for path in others if path not in ours)


def _read_tree(outcome: Outcome, living: Living, *dry_run: str) -> str:
    """Let git put the outcome in place, or with `-n` only look whether it would; return why it does not."""
    words = ("read-tree", *dry_run, "-m", "-u", living.head, outcome.tree)
    result = git.attempt(*words, cwd=living.top, apart=True)
    return (" ".join(result.stderr.split()) or "no reason given") if result.returncode else ""


def _refusal(reason: str) -> ProjectError:
    return ProjectError(
        f"git could not put the update in place, so everything is as it was: {reason}",
        remedy="Set right what it names, then run the command again.",
    )


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
            remedy=f"Set right what it names, then take it back: {unfinished.undo_half(living, outcome.tree)}",
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
            remedy=f"They are listed by: {advice.with_aiapi(living, 'update --continue')}. "
            f"Or take the update back: {unfinished.undo(living)}",
        )


def _update_index(entries: str, living: Living) -> CompletedProcess[str]:
    return git.attempt("update-index", "-z", "--index-info", cwd=living.top, given=entries, apart=True)


def _names(*arguments: str, cwd: Path) -> list[str]:
    return [name for name in git.attempt(*arguments, cwd=cwd).stdout.split("\0") if name]
