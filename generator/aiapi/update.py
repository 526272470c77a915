"""Run `aiapi update` and `aiapi set`: try the merge in a temporary worktree, show it, and apply it as a whole."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiapi import (
    answers,
    command_hints,
    conflicts,
    data_steps,
    git,
    source,
    steps,
    target,
    update_state,
    update_summary,
    worktree,
)
from aiapi.apply import apply_outcome, stage_resolved
from aiapi.errors import ProjectError, UsageError
from aiapi.interrupts import LateInterrupt, held_back
from aiapi.merge_preview import preview_merge
from aiapi.project import find_project, require_mergeable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiapi.merge_preview import MergePreview
    from aiapi.project import Project
    from aiapi.report import Screen
    from aiapi.source import Source


@dataclass(frozen=True)
class Request:
    """The command line; `to` is a version, and `pairs` are answers written as `key=value`."""

    folder: Path
    to: str | None = None
    pairs: tuple[str, ...] = ()
    dry_run: bool = False
    difference: bool = False
    lock: bool = True
    yes: bool = False


@dataclass(frozen=True)
class Merge:
    """A template version (None: the newest release) and answers to merge into a project."""

    project: Project
    source: Source
    ref: str | None
    answers: Mapping[str, str]

    @property
    def changed(self) -> list[str]:
        """The questions whose answers change."""
        before = self.project.recorded.answers
        return [key for key, value in self.answers.items() if before.get(key) != value]


def update(request: Request, screen: Screen) -> int:
    """Merge a newer template into the project; return 1 if the user has to decide something, else 0."""
    project = _ready(request)
    found = source.of_project(project.recorded)
    changed = answers.changed_answers(request.pairs, project.recorded.answers, found.questions)
    ref = target.newest(project, found, screen) if request.to is None else target.wanted(request.to, project, found)
    return _merge(Merge(project, found, ref, changed), request, screen)


def change_options(request: Request, screen: Screen) -> int:
    """Change answers at the project's template version; return 1 if the user has to decide something, else 0."""
    project = _ready(request)
    found = source.of_project(project.recorded)
    changed = answers.changed_answers(request.pairs, project.recorded.answers, found.questions)
    merge = Merge(project, found, project.recorded.commit, changed)
    if not merge.changed:
        update_summary.nothing_to_set(screen, project, merge.answers)
        return 0
    return _merge(merge, request, screen)


def finish(folder: Path, screen: Screen, *, lock: bool) -> int:
    """Stage the last update once nothing is left to resolve; return 1 if something is, else 0."""
    git.require()
    project = find_project(folder)
    pending = update_state.find(project)
    if pending is None:
        raise ProjectError(
            "There is no update to finish.", remedy=f"Start one: {command_hints.aiapi_command(project, 'update')}"
        )
    update_state.refuse_partial(project, pending)
    # A conflict is resolved once its markers are gone, even if git's index still lists it.
    left = tuple(each for each in conflicts.find(project.folder) if each.kind is not conflicts.Kind.UNMERGED)
    if left:
        update_summary.still_open(screen, project, pending, left)
        return 1
    untracked = stage_resolved(project, pending)
    with _too_late(project):
        locked = _lock(project, screen) if lock else None
    update_state.clear(project)
    update_summary.finished(screen, project, pending, update_summary.Staged(locked, untracked))
    return 1 if locked and not locked.ok else 0


def refuse_with_continue(**given: object) -> None:
    """Raise `UsageError` if `--continue` is combined with an option that starts an update."""
    if any(given.values()):
        raise UsageError(
            "--continue cannot be combined with --to, --set, --dry-run or --diff.",
            remedy="Run aiapi update --continue without them.",
        )


def _ready(request: Request) -> Project:
    git.require()
    project = find_project(request.folder)
    require_mergeable(project)
    if pending := update_state.find(project):
        update_state.refuse_partial(project, pending)
        raise ProjectError(
            "The last update is not finished.",
            remedy=f"Finish it: {command_hints.aiapi_command(project, 'update --continue')}. "
            f"Or undo it: {update_state.undo_command(project)}",
        )
    if changed := project.uncommitted_changes():
        stash = command_hints.stash_command(project)
        raise ProjectError(
            f"{len(changed)} uncommitted {'change' if len(changed) == 1 else 'changes'} in {project.folder}.",
            remedy=f"Commit or stash them ({stash}), then run the command again.",
            problems=tuple(line.strip() for line in changed[:10]),
        )
    return project


def _confirmed(merge: Merge, request: Request, screen: Screen) -> bool:
    """Tell whether the user confirms the data steps that need the old code; true if there are none."""
    first = [str(step) for step in data_steps.required_steps(merge.changed) if step.with_old_code]
    if not first or request.yes or request.dry_run:
        return True
    if screen.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "Prepare the data first, with the old code.",
            remedy="Run the command again with --yes once that is done, or if there is no data to keep.",
            problems=tuple(first),
        )
    screen.say("Prepare the data first, with the old code:", "bold")
    for line in first:
        screen.say(f"  {line}")
    try:
        answer = input("Is that done, or is there no data to keep? [y/N] ")
    except EOFError as error:  # Ctrl-D
        raise KeyboardInterrupt from error
    if answer.strip().lower() not in {"y", "yes"}:
        screen.say("Nothing was changed. Run the command again once the data is prepared.")
        return False
    _refuse_later_work(merge.project, request)
    return True


def _merge(merge: Merge, request: Request, screen: Screen) -> int:
    if not _confirmed(merge, request, screen):
        return 1
    project = merge.project
    with _too_late(project), _scratch() as scratch:
        with screen.working("Trying the update in a temporary worktree"):
            preview = preview_merge(project, merge.source, merge.ref, merge.answers, scratch)
        difference = worktree.diff(preview.outcome, project) if request.difference else None
        locked = None
        if preview.changes_anything and not request.dry_run:
            _apply(preview, project, request)
            locked = _finish_at_once(request, screen, project, preview)
    update_summary.merged(screen, project, preview, update_summary.Shown(request.dry_run, difference, locked))
    return 1 if preview.unresolved or (locked and not locked.ok) else 0


def _apply(preview: MergePreview, project: Project, request: Request) -> None:
    with held_back():
        _refuse_later_work(project, request)
        apply_outcome(preview.outcome, project, preview.before.commit, preview.after.commit)


def _refuse_later_work(project: Project, request: Request) -> None:
    """Raise `ProjectError` if the project has changed since the command started."""
    if _ready(request) != project:
        raise ProjectError(
            f"{project.folder} has a new commit since the command started; nothing was changed.",
            remedy="Run the command again (with --yes, if it asks) to start from that commit.",
        )


@contextmanager
def _too_late(project: Project) -> Iterator[None]:
    """Report an interrupt that came too late to stop the update."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if not update_state.is_applied(project):
            raise
        undo = update_state.undo_command(project)
        message = f"the update is applied, but uv.lock may be out of date. To undo it: {undo}"
        raise LateInterrupt(message) from interrupt


def _finish_at_once(request: Request, screen: Screen, project: Project, preview: MergePreview) -> steps.Step | None:
    if preview.unresolved:
        return None
    update_state.clear(project)
    return _lock(project, screen) if request.lock else None


def _lock(project: Project, screen: Screen) -> steps.Step | None:
    """Update uv.lock, if there is one and pyproject.toml has changed."""
    changed = git.output("diff", "--cached", "--name-only", "HEAD", "--", "pyproject.toml", cwd=project.folder)
    if not changed or not (project.folder / "uv.lock").is_file():
        return None
    if shutil.which("uv") is None:
        return steps.Step("uv lock", ok=False, detail="uv is not installed", remedy="Install it, then run: uv lock")
    with screen.working("Locking the dependencies"):
        step = steps.lock(project.folder)
    if step.ok:
        git.run("add", "--", "uv.lock", cwd=project.folder)
    return step


@contextmanager
def _scratch() -> Iterator[Path]:
    """Yield a temporary folder; it is deleted even after an interrupt."""
    # Resolved, because Copier compares paths with those that git prints, which contain no links.
    place = Path(tempfile.mkdtemp(prefix="aiapi-update-")).resolve()
    try:
        yield place
    finally:
        with held_back():
            shutil.rmtree(place, ignore_errors=True)
