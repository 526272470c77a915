"""The course of `aiapi new`: check everything, make the project, report, and start it if asked."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiapi import answers, git, project, source, steps, summary
from aiapi.create import Made, create, preview
from aiapi.errors import UsageError
from aiapi.interrupts import LateInterrupt
from aiapi.project import Project

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aiapi.report import Screen


@dataclass(frozen=True)
class Request:
    """The command line of `aiapi new`, as it was given."""

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
        """The flags beside the answers that belong to an equivalent command."""
        words = ["--into", str(self.into)] if self.into else []
        return words + ["--no-lock"] * (not self.lock) + ["--no-git"] * (not self.repository)


def new(request: Request, screen: Screen) -> int:
    """Make the project and return the exit code: 1 when a step after rendering failed.

    Raises:
        AiapiError: For every mistake and failure; then nothing was written.
    """
    _check_usage(request)
    _check_tools(request)
    checked = _checked(request, screen)
    _warn(request, checked, screen)
    made = preview(checked, screen) if request.dry_run else _create(request, checked, screen)
    command = project.equivalent_command(checked, made.rendered.answers, request.extra)
    for line in made.warnings:
        screen.warn(line)
    screen.result(summary.as_data(checked, made, command, dry_run=request.dry_run))
    (summary.show_preview if request.dry_run else summary.show)(screen, checked, made, command)
    for step in made.steps:
        if not step.ok:
            screen.warn(f"{step.name} failed: {step.detail}")
            screen.warn(f"The project is made, this is left to do: {step.remedy}")
    if not made.ok:
        return 1
    return _run(request, checked, screen) if request.run else 0


def _check_usage(request: Request) -> None:
    if request.port and not request.run:
        raise UsageError("--port says where --run starts the service.", remedy="Add --run, or leave --port out.")
    if request.run and request.dry_run:
        raise UsageError("--dry-run makes nothing that --run could start.", remedy="Leave one of them out.")


def _check_tools(request: Request) -> None:
    git.require()
    if request.run or (request.lock and not request.dry_run):
        steps.require_uv()
    if request.run:
        steps.require_free(request.port or steps.DEFAULT_PORT)


def _checked(request: Request, screen: Screen) -> Project:
    """Return the project that was asked for, or raise what is wrong with it."""
    found = source.find(request.template)
    given, problems = answers.gather(request.name, request.flags, request.pairs, request.file)
    answers.check(given, found.questions, problems)
    destination = project.destination(request.name, request.into)
    missing = [option.flag for option in found.questions or () if option.name not in given]
    ask = not request.defaults and (bool(missing) or found.questions is None)
    if ask and (screen.as_json or not (sys.stdin.isatty() and sys.stdout.isatty())):
        remedy = "Pass --defaults to take the defaults, or answer yourself"
        raise UsageError(
            "There is no terminal to ask on.", remedy=f"{remedy}: {', '.join(missing)}." if missing else f"{remedy}."
        )
    return Project(request.name, destination, given, found, ask)


def _warn(request: Request, checked: Project, screen: Screen) -> None:
    for line in checked.source.warnings:
        screen.warn(line)
    outer = project.enclosing_repository(checked.destination)
    if outer and request.repository:
        screen.warn(
            f"{checked.destination} lies inside the git repository {outer}; it gets one of its own all the same."
        )


def _create(request: Request, checked: Project, screen: Screen) -> Made:
    return create(checked, screen, lock=request.lock, repository=request.repository)


def _run(request: Request, checked: Project, screen: Screen) -> int:
    """Install and start the service; return 0 when the user stopped it, 1 when it could not run or ended by itself."""
    try:
        with screen.working("Installing the dependencies"):
            step = steps.sync(checked.destination)
    except KeyboardInterrupt as late:
        raise LateInterrupt from late
    if not step.ok:
        screen.warn(f"{step.name} failed: {step.detail}")
        screen.warn(f"The project is made, this is left to do: {step.remedy}")
        return 1
    port = request.port or steps.DEFAULT_PORT
    screen.say(f"\nStarting it: open http://127.0.0.1:{port}/docs when it is ready; Ctrl-C stops it.", "bold")
    code = steps.run_service(checked.destination, request.port, quiet_stdout=screen.as_json)
    if code:
        screen.warn(f"The service ended by itself with exit code {code}.")
    return 1 if code else 0
