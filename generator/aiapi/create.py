"""Create a project in a hidden folder beside the destination, and move it into place at the end."""

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

    from aiapi.new_project import NewProject
    from aiapi.report import Screen


@dataclass(frozen=True)
class Created:
    """The result of `aiapi new`; `commit` is the project's first commit, or None if there is none."""

    rendered: engine.Rendered
    manifest: Manifest
    steps: tuple[Step, ...] = ()
    warnings: tuple[str, ...] = ()
    commit: str | None = None

    @property
    def ok(self) -> bool:
        """True if no step failed."""
        return all(step.ok for step in self.steps)


def preview(project: NewProject, screen: Screen) -> Created:
    """Render the project in a temporary folder, and report what it contains."""
    with _workspace(Path(tempfile.gettempdir()), project.name) as space:
        return _rendered(project, space, screen)


def create(project: NewProject, screen: Screen, *, lock: bool, repository: bool) -> Created:
    """Create the project at its destination.

    If locking or committing fails, the project is kept and the result says so. An interrupt and any other failure leave
    nothing.

    Raises:
        TemplateError: If the template cannot be rendered.
        DestinationError: If something has appeared at the destination meanwhile.
    """
    existed = project.destination.is_dir()
    parent = project.destination if existed else project.destination.parent
    with _workspace(parent, project.name) as space:
        created = _rendered(project, space, screen)
        folder = space / project.name
        done: list[Step] = []
        warnings: list[str] = []
        if lock:
            with screen.working("Locking the dependencies"):
                done.append(steps.lock(folder))
        commit = None
        if repository:
            with screen.working("Making the first commit"):
                commit = _commit(project, folder, created.rendered.commit, done, warnings)
        _publish(folder, project.destination, existed=existed)
    return Created(created.rendered, created.manifest, tuple(done), tuple(warnings), commit)


def _rendered(project: NewProject, space: Path, screen: Screen) -> Created:
    folder, scratch = space / project.name, space / ".scratch"
    scratch.mkdir()
    with screen.working("Rendering the template", animated=not project.ask):
        rendered = engine.render(project, folder, scratch)
    # Copier ignores an answer to a question that the template does not ask.
    refuse([f"{key}: the template does not ask for it." for key in project.answers if key not in rendered.answers])
    manifest = read_manifest(folder)
    if project.name in manifest.dependency_names:
        raise TemplateError(
            f"The service cannot be named {project.name}: it or its tests depend on a package of that name.",
            remedy="Choose another name.",
        )
    return Created(rendered, manifest)


def _commit(project: NewProject, folder: Path, version: str, done: list[Step], warnings: list[str]) -> str | None:
    try:
        commit, fallback = git.start_repository(folder, f"Start {project.name} from aiapi {version}")
    except ToolError as error:
        done.append(Step("git commit", ok=False, detail=error.message, remedy=error.remedy))
        return None
    done.append(Step("git commit", ok=True))
    if fallback:
        warnings.append("git does not know your name and email, so the author of the first commit is 'aiapi'.")
    return commit


def _publish(folder: Path, destination: Path, *, existed: bool) -> None:
    """Move the finished project into place; an empty destination folder is filled, not replaced."""
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
        raise DestinationError(f"Cannot write {destination}: {reason}.", remedy="Try again.") from error
    except KeyboardInterrupt as late:
        raise LateInterrupt from late


def _refuse_to_overwrite(targets: Iterable[Path]) -> None:
    """Raise `DestinationError` if a target exists: a move would overwrite it silently."""
    taken = tuple(sorted(str(target) for target in targets if os.path.lexists(target)))
    if taken:
        raise DestinationError(
            "These appeared while the project was being created, so it was not created.",
            remedy="Move them away, or choose another folder with --into.",
            problems=taken,
        )


@contextmanager
def _workspace(parent: Path, name: str) -> Iterator[Path]:
    """Yield a hidden folder in `parent`; it is deleted even after an interrupt."""
    try:
        space = Path(tempfile.mkdtemp(prefix=f".{name}.aiapi-", dir=parent))
    except OSError as error:
        raise DestinationError(f"Cannot write to {parent}: {error.strerror}.") from error
    try:
        yield space
    finally:
        with held_back():
            for _ in range(3):  # a child process that is ending may still write
                shutil.rmtree(space, ignore_errors=True)
                if not space.exists():
                    break
