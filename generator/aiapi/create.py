"""Making a project: everything happens in a hidden folder beside the destination, which one rename publishes."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from aiapi import engine, git, steps
from aiapi.answers import refuse
from aiapi.errors import DestinationError, TemplateError, ToolError
from aiapi.interrupts import LateInterrupt, held_back
from aiapi.manifest import Manifest, read_manifest
from aiapi.steps import Step

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from aiapi.project import Project
    from aiapi.report import Screen


@dataclass(frozen=True)
class Made:
    """What came of `aiapi new`; `commit` is the first commit of the project, None where git had no part."""

    rendered: engine.Rendered
    manifest: Manifest
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    commit: str | None = None

    @property
    def ok(self) -> bool:
        """True when no step failed."""
        return all(step.ok for step in self.steps)


def preview(project: Project, screen: Screen) -> Made:
    """Render the project where nobody sees it, take stock, and leave nothing."""
    with _workspace(Path(tempfile.gettempdir()), project.name) as space:
        return _rendered(project, space, screen)


def create(project: Project, screen: Screen, *, lock: bool, repository: bool) -> Made:
    """Make the project at its destination; on any failure or interrupt before the end nothing is left.

    A step that fails after rendering (locking, committing) is reported in the result: the project is there.

    Raises:
        TemplateError: When the template cannot be rendered.
        DestinationError: When something took the destination's place meanwhile.
    """
    existed = project.destination.is_dir()
    parent = project.destination if existed else project.destination.parent
    with _workspace(parent, project.name) as space:
        made = _rendered(project, space, screen)
        folder = space / project.name
        done: list[Step] = []
        warnings: list[str] = []
        if lock:
            with screen.working("Locking the dependencies"):
                done.append(steps.lock(folder))
        commit = None
        if repository:
            with screen.working("Making the first commit"):
                commit = _commit(project, folder, made.rendered.commit, done, warnings)
        _publish(folder, project.destination, existed=existed)
    return Made(made.rendered, made.manifest, tuple(done), tuple(warnings), commit)


def _rendered(project: Project, space: Path, screen: Screen) -> Made:
    folder, scratch = space / project.name, space / ".scratch"
    scratch.mkdir()
    with screen.working("Rendering the template", animated=not project.ask):
        rendered = engine.render(project, folder, scratch)
    # Copier ignores an answer to a question that the template does not ask.
    refuse([f"{key}: the template does not ask for it." for key in project.answers if key not in rendered.answers])
    manifest = read_manifest(folder)
    if project.name in manifest.dependency_names:
        raise TemplateError(
            f"The service or its tests depend on a package named {project.name}, so it cannot have that name.",
            remedy="Choose another name.",
        )
    return Made(rendered, manifest)


def _commit(project: Project, folder: Path, version: str, done: list[Step], warnings: list[str]) -> str | None:
    try:
        commit, fallback = git.start_repository(folder, f"Start {project.name} from aiapi {version}")
    except ToolError as error:
        done.append(Step("git commit", ok=False, detail=error.message, remedy=error.remedy))
        return None
    done.append(Step("git commit", ok=True))
    if fallback:
        warnings.append("git does not know your name and email, so the first commit is signed 'aiapi'.")
    return commit


def _publish(folder: Path, destination: Path, *, existed: bool) -> None:
    """Move the finished project into place; an empty folder that was there stays the same folder."""
    moves = [(child, destination / child.name) for child in folder.iterdir()] if existed else [(folder, destination)]
    done: list[tuple[Path, Path]] = []
    try:
        with held_back():
            _refuse_to_overwrite([target for _, target in moves])
            for origin, target in moves:
                origin.rename(target)
                done.append((origin, target))
    except OSError as error:
        for origin, target in done:
            target.rename(origin)
        reason = error.strerror or "unknown reason"
        raise DestinationError(f"{destination} could not be written: {reason}.", remedy="Try again.") from error
    except KeyboardInterrupt as late:
        raise LateInterrupt from late


def _refuse_to_overwrite(targets: Iterable[Path]) -> None:
    """Raise `DestinationError` where something lies already: a move would overwrite it without a word."""
    taken = tuple(sorted(str(target) for target in targets if os.path.lexists(target)))
    if taken:
        raise DestinationError(
            "Somebody has put something there while the project was made, so it was not made.",
            remedy="Move it away, or choose another folder with --into.",
            problems=taken,
        )


@contextmanager
def _workspace(parent: Path, name: str) -> Iterator[Path]:
    """Offer a hidden folder in `parent` that is gone afterwards, also after an interrupt."""
    try:
        space = Path(tempfile.mkdtemp(prefix=f".{name}.aiapi-", dir=parent))
    except OSError as error:
        raise DestinationError(f"{parent} cannot be written: {error.strerror}.") from error
    try:
        yield space
    finally:
        with held_back():
            for _ in range(3):  # a child that is just ending may still write once
                shutil.rmtree(space, ignore_errors=True)
                if not space.exists():
                    break
