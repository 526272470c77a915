"""The course of `aiapi check`: is there a newer release of the template than the one a project is made from?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiapi import advice, bundle, git, living, releases, source
from aiapi.errors import ProjectError, TemplateError
from aiapi.location import address

if TYPE_CHECKING:
    from packaging.version import Version

    from aiapi.living import Living
    from aiapi.report import Screen
    from aiapi.source import Source

OUTDATED = 2


@dataclass(frozen=True)
class Verdict:
    """What is known of a project's template.

    `installed` is the newest release that this installation brings along, None where it does not stand in for the
    source. `unreleased` is the commit of this installation where an update would lead to it and it is neither a release
    nor the project's. `problem` says why the source itself could not be asked.
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
        """True when the source has a newer release than this installation."""
        return self.installed is not None and self.installed != self.newest


def check(folder: Path, screen: Screen) -> int:
    """Compare, report, and return the exit code: 0 when the project is current, 2 when it is outdated.

    Raises:
        AiapiError: When it cannot be known.
    """
    git.require()
    project = living.find(folder)
    with screen.working("Asking the template's source for its releases"):
        verdict = _judge(project)
    screen.result(_as_data(verdict))
    _show(verdict, screen, advice.with_aiapi(project, "update --dry-run"))
    return OUTDATED if verdict.outdated else 0


def _judge(project: Living) -> Verdict:
    answer = releases.ask(project.recorded.template, project.folder)
    try:
        origin = source.of_project(project.recorded)
    except TemplateError:
        if answer.problem:
            raise
        origin = source.Source(project.recorded.template)  # this installation is behind; the source is not
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
    """Return what git calls the commit of a checkout that aiapi runs from; None where it has a tag, or is `current`."""
    place = origin.checkout or Path(origin.location)
    if origin.ref is None or not place.is_dir() or bundle.commit_of(current, place) == origin.ref:
        return None
    tagged = git.ask("describe", "--tags", "--exact-match", origin.ref, cwd=place)
    return None if tagged else git.ask("describe", "--tags", "--always", origin.ref, cwd=place)


def _nothing_known(answer: releases.Answer, origin: Source, project: Living) -> TemplateError:
    if answer.problem:
        moved = f"If it has moved: {advice.with_aiapi(project, 'relink SOURCE')}"
        remedy = "Try again with a network." if answer.offline else moved
        return TemplateError(
            f"Whether there is a newer release cannot be known: {origin.location} could not be asked:"
            f" {answer.problem}.",
            remedy=remedy,
        )
    place = origin.checkout or Path(address(origin.location, project.folder))
    if place.is_dir() and releases.untagged(place):
        remedy = releases.tags_remedy(place)
    else:
        remedy = "A template is released by an annotated tag like v1.0.0."
    return TemplateError(f"The template at {origin.location} has no release to compare with.", remedy=remedy)


def _described(project: Living, origin: Source) -> Version:
    """Return the version of a project that records a bare commit, as Copier sees it."""
    commit = project.recorded.commit
    with releases.history(str(origin.checkout or origin.location), project.folder) as repository:
        known, at = bundle.commit_of(commit, repository), git.at(repository)
        described = git.ask(at, "describe", "--tags", "--long", commit, cwd=repository) if known else None
        count = git.ask(at, "rev-list", "--count", commit, cwd=repository) if known else None
    # Copier takes a commit that no tag leads to for older than every release.
    version = releases.parse(described or f"v0.0.0-{count}-g{known}")
    if known is None or version is None:
        raise ProjectError(
            f"The template version {commit} of this project is not known at {origin.location}.",
            remedy=f"Record a source that has it: {advice.with_aiapi(project, 'relink SOURCE')}",
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
    }


def _show(verdict: Verdict, screen: Screen, command: str) -> None:
    if verdict.problem:
        screen.warn(f"the source could not be asked: {verdict.problem}. Judged by this installation alone.")
    if verdict.unreleased:
        screen.warn(f"an update leads to the commit of this installation, {verdict.unreleased}, which is not released.")
    made = f"{verdict.project.name} is made from {verdict.source} at {verdict.current}"
    if not verdict.outdated:
        newer = " and nothing newer is released" if verdict.current != verdict.newest else ", the newest release"
        screen.say(f"{made}{newer}.", "green")
        return
    screen.say(f"{made}; {verdict.newest} is released.", "yellow")
    if verdict.upgrade_first:
        screen.say(f"Upgrade aiapi first: this installation knows the template up to {verdict.installed}.")
    screen.say(f"See what would change: {command}")
