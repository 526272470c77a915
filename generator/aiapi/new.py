"""Run `aiapi new`: check everything, create the project, report, and start the service if asked."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiapi import answers, git, new_project, source, steps, summary
from aiapi.create import Created, create, preview
from aiapi.errors import UsageError
from aiapi.interrupts import LateInterrupt
from aiapi.new_project import NewProject

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aiapi.report import Screen


@dataclass(frozen=True)
class Request:
    """The command line; `flags` holds the value of every flag that answers a question."""

    name: str
    flags: Mapping[str, str | None]
    pairs: tuple[str, ...]
    file: Path | None
    into: Path | None
    template: str | None
    defaults: bool
    dry_run: bool
    lock: bool
    repository: bool
    run: bool
    port: int | None

    @property
    def extra(self) -> list[str]:
        """The flags of an equivalent command that do not answer questions."""
        words = ["--into", str(self.into)] if self.into else []
        return words + ["--no-lock"] * (not self.lock) + ["--no-git"] * (not self.repository)


def new(request: Request, screen: Screen) -> int:
    """Create the project and return the exit code: 1 if a step after rendering failed.

    Raises:
        AiapiError: For every other mistake and failure; then nothing was written.
    """
    _check_usage(request)
    _check_tools(request)
    project = _checked(request, screen)
    _warn(request, project, screen)
    created = preview(project, screen) if request.dry_run else _create(request, project, screen)
    command = new_project.equivalent_command(project, created.rendered.answers, request.flags, request.extra)
    for line in created.warnings:
        screen.warn(line)
    screen.result(summary.as_data(project, created, command, dry_run=request.dry_run))
    (summary.show_preview if request.dry_run else summary.show)(screen, project, created, command)
    for step in created.steps:
        if not step.ok:
            _report_failure(step, screen)
    if not created.ok:
        return 1
    return _run(request, project, screen) if request.run else 0


def _check_usage(request: Request) -> None:
    if request.port and not request.run:
        raise UsageError("--port requires --run.", remedy="Add --run, or leave --port out.")
    if request.run and request.dry_run:
        raise UsageError("--run cannot be combined with --dry-run.", remedy="Leave one of them out.")


def _check_tools(request: Request) -> None:
    git.require()
    if request.run or (request.lock and not request.dry_run):
        steps.require_uv()
    if request.run:
        steps.require_free(request.port or steps.DEFAULT_PORT)


def _checked(request: Request, screen: Screen) -> NewProject:
    """Return the requested project, or raise `AiapiError` with what is wrong."""
    found = source.find(request.template)
    given, problems = answers.gather(request.name, request.flags, request.pairs, request.file)
    answers.check(given, found.questions, problems)
    destination = new_project.destination(request.name, request.into)
    missing = [option.flag for option in found.questions or () if option.name not in given]
    ask = not request.defaults and (bool(missing) or found.questions is None)
    if ask and (screen.as_json or not (sys.stdin.isatty() and sys.stdout.isatty())):
        problem = "Cannot prompt with --json." if screen.as_json else "Cannot prompt without a terminal."
        raise UsageError(problem, remedy=f"Pass --defaults{', or set: ' + ', '.join(missing) if missing else ''}.")
    return NewProject(request.name, destination, given, found, ask)


def _warn(request: Request, project: NewProject, screen: Screen) -> None:
    for line in project.source.warnings:
        screen.warn(line)
    outer = new_project.enclosing_repository(project.destination)
    if outer and request.repository:
        screen.warn(
            f"{project.destination} lies inside the git repository {outer}; a nested repository is created anyway."
        )


def _create(request: Request, project: NewProject, screen: Screen) -> Created:
    return create(project, screen, lock=request.lock, repository=request.repository)


def _run(request: Request, project: NewProject, screen: Screen) -> int:
    """Install and start the service; return 0 if the user stopped it, 1 if it could not start or exited by itself."""
    try:
        with screen.working("Installing the dependencies"):
            step = steps.sync(project.destination)
    except KeyboardInterrupt as late:
        raise LateInterrupt from late
    if not step.ok:
        _report_failure(step, screen)
        return 1
    port = request.port or steps.DEFAULT_PORT
    screen.say(f"\nStarting the service: http://127.0.0.1:{port}/docs (Ctrl-C stops it)", "bold")
    code = steps.run_service(project.destination, request.port, quiet_stdout=screen.as_json)
    if code:
        screen.warn(f"The service exited by itself with exit code {code}.")
    return 1 if code else 0


def _report_failure(step: steps.Step, screen: Screen) -> None:
    screen.warn(f"{step.name} failed: {step.detail}")
    screen.warn(f"The project was created. Still to do: {step.remedy}")
