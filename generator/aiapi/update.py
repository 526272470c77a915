"""`aiapi update` and `aiapi set`: tried in a second working tree, shown, and put in place as a whole."""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiapi import (
    advice,
    answers,
    conflicts,
    git,
    living,
    placing,
    source,
    steps,
    switches,
    target,
    trial,
    unfinished,
    update_summary,
    worktree,
)
from aiapi.errors import ProjectError, UsageError
from aiapi.interrupts import LateInterrupt, held_back

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from aiapi.living import Living
    from aiapi.report import Screen
    from aiapi.source import Source
    from aiapi.trial import Trial


@dataclass(frozen=True)
class Request:
    """What the user has asked for; `to` is a version, `pairs` are answers written as `key=value`."""

    folder: Path
    to: str | None = None
    pairs: tuple[str, ...] = ()
    dry_run: bool = False
    difference: bool = False
    lock: bool = True
    yes: bool = False


@dataclass(frozen=True)
class Merge:
    """What is to be merged into a project: a version of its template (None: the newest) with some other answers."""

    project: Living
    source: Source
    ref: str | None
    answers: Mapping[str, str]

    @property
    def changed(self) -> list[str]:
        """The questions that are answered otherwise than before."""
        before = self.project.recorded.answers
        return [key for key, value in self.answers.items() if before.get(key) != value]


def update(request: Request, screen: Screen) -> int:
    """Bring a newer template into the project; returns 1 while something is left to decide, else 0."""
    project = _ready(request)
    found = source.of_project(project.recorded)
    answered = answers.anew(request.pairs, project.recorded.answers, found.questions)
    ref = target.newest(project, found, screen) if request.to is None else target.wanted(request.to, project, found)
    return _merge(Merge(project, found, ref, answered), request, screen)


def switch(request: Request, screen: Screen) -> int:
    """Change answers of the project at its template's version; returns 1 while something is left to decide, else 0."""
    project = _ready(request)
    found = source.of_project(project.recorded)
    merge = Merge(
        project, found, project.recorded.commit, answers.anew(request.pairs, project.recorded.answers, found.questions)
    )
    if not merge.changed:
        update_summary.nothing_to_set(screen, project, merge.answers)
        return 0
    return _merge(merge, request, screen)


def finish(folder: Path, screen: Screen, *, lock: bool) -> int:
    """Check what the last update left to decide; when nothing is left, stage it; returns 1 while something is left."""
    git.require()
    project = living.find(folder)
    note = unfinished.find(project)
    if note is None:
        raise ProjectError(
            "No update waits to be finished.", remedy=f"Start one: {advice.with_aiapi(project, 'update')}"
        )
    unfinished.refuse_half(project, note)
    # A conflict that git still notes is over once its markers are gone.
    left = tuple(each for each in conflicts.find(project.folder) if each.kind is not conflicts.Kind.UNMERGED)
    if left:
        update_summary.still_open(screen, project, note, left)
        return 1
    beside = placing.stage(project, note)
    with _too_late(project):
        locked = _lock(project, screen) if lock else None
    unfinished.end(project)
    update_summary.finished(screen, project, note, update_summary.Staged(locked, beside))
    return 1 if locked and not locked.ok else 0


def refuse_with_continue(**given: object) -> None:
    """Raise `UsageError` where `--continue` is given along with what starts an update."""
    if any(given.values()):
        raise UsageError("--continue finishes the update that is in place, as it is.", remedy="Give it alone.")


def _ready(request: Request) -> Living:
    git.require()
    project = living.find(request.folder)
    living.refuse_unfit(project)
    if note := unfinished.find(project):
        unfinished.refuse_half(project, note)
        raise ProjectError(
            "An update is in place and waits to be finished.",
            remedy=f"Finish it: {advice.with_aiapi(project, 'update --continue')}. "
            f"Or take it back: {unfinished.undo(project)}",
        )
    if changed := project.uncommitted():
        raise ProjectError(
            f"{len(changed)} uncommitted {'change' if len(changed) == 1 else 'changes'} in {project.folder}.",
            remedy=f"Commit them, or put them aside ({advice.put_aside(project)}), then run the command again.",
            problems=tuple(line.strip() for line in changed[:10]),
        )
    return project


def _confirmed(merge: Merge, request: Request, screen: Screen) -> bool:
    """Make sure that the steps which need the old code have been taken; false when the user says that they are not."""
    first = [str(step) for step in switches.steps(merge.changed) if step.with_old_code]
    if not first or request.yes or request.dry_run:
        return True
    if screen.as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "The data comes first, with the code as it is.",
            remedy="Run the command again with --yes once that is done, or if there is no data to keep.",
            problems=tuple(first),
        )
    screen.say("First, with the code as it is:", "bold")
    for line in first:
        screen.say(f"  {line}")
    try:
        answer = input("Is that done, or is there no data to keep? [y/N] ")
    except EOFError as error:  # Ctrl-D
        raise KeyboardInterrupt from error
    if answer.strip().lower() not in {"y", "yes"}:
        screen.say("Nothing was changed. Run the command again once it is done.")
        return False
    _refuse_later_work(merge.project, request)
    return True


def _merge(merge: Merge, request: Request, screen: Screen) -> int:
    if not _confirmed(merge, request, screen):
        return 1
    project = merge.project
    with _too_late(project), _scratch() as scratch:
        with screen.working("Trying the update in a second working tree"):
            tried = trial.attempt(project, merge.source, merge.ref, merge.answers, scratch)
        shown = worktree.difference(tried.outcome, project) if request.difference else None
        locked = None
        if tried.changes_anything and not request.dry_run:
            _put_in_place(tried, project, request)
            locked = _finish_at_once(request, screen, project, tried)
    update_summary.merged(screen, project, tried, update_summary.Shown(request.dry_run, shown, locked))
    return 1 if tried.unresolved or (locked and not locked.ok) else 0


def _put_in_place(tried: Trial, project: Living, request: Request) -> None:
    with held_back():
        _refuse_later_work(project, request)
        placing.apply(tried.outcome, project, tried.before.commit, tried.after.commit)


def _refuse_later_work(project: Living, request: Request) -> None:
    """Raise where somebody has worked in the project since it was looked at."""
    if _ready(request) != project:
        raise ProjectError(
            f"{project.folder} has another commit than when the command began; nothing was changed.",
            remedy="Run the command again (with --yes, if it asks): it begins with that commit.",
        )


@contextmanager
def _too_late(project: Living) -> Iterator[None]:
    """Say of an interrupt when it came too late to stop the update."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if not unfinished.is_in_place(project):
            raise
        told = f"the update is in place, uv.lock may be old. Take it back with: {unfinished.undo(project)}"
        raise LateInterrupt(told) from interrupt


def _finish_at_once(request: Request, screen: Screen, project: Living, tried: Trial) -> steps.Step | None:
    if tried.unresolved:
        return None
    unfinished.end(project)
    return _lock(project, screen) if request.lock else None


def _lock(project: Living, screen: Screen) -> steps.Step | None:
    """Resolve the dependencies anew where they have changed and are locked at all."""
    changed = git.ask("diff", "--cached", "--name-only", "HEAD", "--", "pyproject.toml", cwd=project.folder)
    if not changed or not (project.folder / "uv.lock").is_file():
        return None
    if shutil.which("uv") is None:
        return steps.Step("uv lock", ok=False, detail="uv is not installed", remedy="Install it, then run: uv lock")
    with screen.working("Locking the dependencies"):
        step = steps.lock(project.folder)
    if step.ok:
        git.attempt("add", "--", "uv.lock", cwd=project.folder)
    return step


@contextmanager
def _scratch() -> Iterator[Path]:
    """Offer a folder that is gone afterwards, also after an interrupt."""
    # Copier compares paths with what git says of them, which has no links in it.
    place = Path(tempfile.mkdtemp(prefix="aiapi-update-")).resolve()
    try:
        yield place
    finally:
        with held_back():
            shutil.rmtree(place, ignore_errors=True)
