"""The version that an update leads to: never one that is older than what the project has."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from aiapi import git, releases
from aiapi.errors import ProjectError, TemplateError

if TYPE_CHECKING:
    from aiapi.living import Living
    from aiapi.report import Screen
    from aiapi.source import Source

_COMMIT = re.compile(r"^[0-9a-f]{7,64}$|-g[0-9a-f]+$")


def newest(project: Living, found: Source, screen: Screen) -> str | None:
    """Return what to update to (None: the newest release): never to something older than what the project has."""
    place = found.checkout or Path(found.location)
    if found.ref is None:
        last = releases.latest(releases.ask(found.location, project.folder).tags)
    else:
        last = git.ask("describe", "--tags", found.ref, cwd=place) if place.is_dir() else None
    if not last or not _is_older(last, project.recorded.commit):
        return found.ref
    screen.warn(f"the newest release of the template, {last}, is older than what the project is made from.")
    return project.recorded.commit


def wanted(version: str, project: Living, found: Source) -> str:
    """Return the release that is asked for, with or without its `v`; a commit is taken as it is.

    Raises:
        TemplateError: When the template has no such release.
        ProjectError: When it is older than what the project has.
    """
    tag = f"v{version}" if version[:1].isdigit() and "." in version else version
    answer = releases.ask(str(found.checkout or found.location), project.folder)
    if not answer.problem and tag not in answer.tags and not _COMMIT.search(tag):
        known = sorted(filter(releases.parse, answer.tags), key=lambda each: releases.parse(each) or Version("0"))
        raise TemplateError(f"The template has no release {version}.", remedy=f"It has: {', '.join(known) or 'none'}.")
    if _is_older(tag, project.recorded.commit):
        raise ProjectError(
            f"The project is made from {project.recorded.commit}, and {tag} is older.",
            remedy="A template's versions lead forward only. To go back, revert the commit of the update: git revert",
        )
    return tag


def _is_older(one: str, other: str) -> bool:
    first, second = releases.parse(one), releases.parse(other)
    return first is not None and second is not None and first < second
