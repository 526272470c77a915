"""Run `aiapi check`: compare a project's template version with the newest release."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiapi import bundle, command_hints, git, releases, source
from aiapi.errors import ProjectError, TemplateError
from aiapi.location import address
from aiapi.project import find_project

if TYPE_CHECKING:
    from packaging.version import Version

    from aiapi.project import Project
    from aiapi.report import Screen
    from aiapi.source import Source

OUTDATED = 2


@dataclass(frozen=True)
class Verdict:
    """What is known about a project's template.

    `installed` is the newest release in this installation, None if the installation does not replace the source.
    `unreleased` is this installation's commit, if an update would go to it and it is neither a release nor the
    project's version. `problem` is the reason why the source could not be reached.
    """

    project: Path
    source: str
    current: str
    newest: str
    outdated: bool
    installed: str | None = None
    problem: str = ""
    unreleased: str | None = None

    @property
    def upgrade_first(self) -> bool:
        """True if the source has a newer release than this installation."""
        return self.installed is not None and self.installed != self.newest


def check(folder: Path, screen: Screen) -> int:
    """Compare, report, and return the exit code: 0 if the project is up to date, 2 if it is outdated.

    Raises:
        AiapiError: If that cannot be determined.
    """
    git.require()
    project = find_project(folder)
    with screen.working("Looking up the releases of the template"):
        verdict = _judge(project)
    screen.result(_as_data(verdict))
    _show(verdict, screen, command_hints.aiapi_command(project, "update --dry-run"))
    return OUTDATED if verdict.outdated else 0


def _judge(project: Project) -> Verdict:
    answer = releases.ask(project.recorded.template, project.folder)
    try:
        origin = source.of_project(project.recorded)
    except TemplateError:
        if answer.problem:
            raise
        origin = source.Source(project.recorded.template)  # older than the project, unlike the source
    here = releases.ask(str(origin.checkout)).tags if origin.checkout else frozenset()
    newest = releases.latest(answer.tags | here)
    if newest is None:
        raise _nothing_known(answer, origin, project)
    current = project.recorded.commit
    known = releases.parse(newest)
    version = releases.parse(current) or _described(project, origin)
    return Verdict(
        project=project.folder,
        source=origin.location,
        current=current,
        newest=newest,
        outdated=known is not None and known > version,
        installed=releases.latest(here),
        problem=answer.problem,
        unreleased=_unreleased(origin, current),
    )


def _unreleased(origin: Source, current: str) -> str | None:
    """Describe the commit of the checkout from which aiapi runs; None if it has a tag, or is `current`."""
    place = origin.checkout or Path(origin.location)
    if origin.ref is None or not place.is_dir() or bundle.commit_of(current, place) == origin.ref:
        return None
    tagged = git.output("describe", "--tags", "--exact-match", origin.ref, cwd=place)
    return None if tagged else git.output("describe", "--tags", "--always", origin.ref, cwd=place)


def _nothing_known(answer: releases.Answer, origin: Source, project: Project) -> TemplateError:
    if answer.problem:
        moved = f"If it has moved: {command_hints.aiapi_command(project, 'relink SOURCE')}"
        remedy = "Try again with a network." if answer.offline else moved
        return TemplateError(
            f"Cannot check for a newer release: {origin.location} did not answer: {answer.problem}.", remedy=remedy
        )
    place = origin.checkout or Path(address(origin.location, project.folder))
    if place.is_dir() and releases.untagged(place):
        remedy = releases.tags_remedy(place)
    else:
        remedy = "Release the template with an annotated tag like v1.0.0."
    return TemplateError(f"The template at {origin.location} has no release to compare with.", remedy=remedy)


def _described(project: Project, origin: Source) -> Version:
    """Return the version that Copier derives for a project that records a commit without a tag."""
    commit = project.recorded.commit
    with releases.history(str(origin.checkout or origin.location), project.folder) as repository:
        known, at = bundle.commit_of(commit, repository), git.repository_option(repository)
        described = git.output(at, "describe", "--tags", "--long", commit, cwd=repository) if known else None
        count = git.output(at, "rev-list", "--count", commit, cwd=repository) if known else None
    # To Copier, a commit without a tag before it is older than every release.
    version = releases.parse(described or f"v0.0.0-{count}-g{known}")
    if known is None or version is None:
        raise ProjectError(
            f"{origin.location} does not have {commit}, the template version of this project.",
            remedy=f"Record a source that has it: {command_hints.aiapi_command(project, 'relink SOURCE')}",
        )
    return version


def _as_data(verdict: Verdict) -> dict[str, Any]:
    return {
        "ok": True,
        "project": str(verdict.project),
        "current": verdict.current,
        "newest": verdict.newest,
        "outdated": verdict.outdated,
        "source": verdict.source,
        "asked_source": not verdict.problem,
        "problem": verdict.problem,
        "installed": verdict.installed,
        "upgrade_first": verdict.upgrade_first,
        "unreleased": verdict.unreleased,
    }


def _show(verdict: Verdict, screen: Screen, command: str) -> None:
    if verdict.problem:
        screen.warn(f"the source did not answer: {verdict.problem}. Compared with this installation only.")
    if verdict.unreleased:
        screen.warn(f"an update goes to the commit of this installation, {verdict.unreleased}, which is not released.")
    version = f"{verdict.project.name} is at {verdict.current} of {verdict.source}"
    if not verdict.outdated:
        newest = "; there is no newer release" if verdict.current != verdict.newest else ", the newest release"
        screen.say(f"{version}{newest}.", "green")
        return
    screen.say(f"{version}; {verdict.newest} is released.", "yellow")
    if verdict.upgrade_first:
        screen.say(f"Upgrade aiapi first: this installation has the template up to {verdict.installed}.")
    screen.say(f"See what would change: {command}")
