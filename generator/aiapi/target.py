"""Choose the version to which a project is updated; it is never older than the project's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from aiapi import git, releases
from aiapi.errors import ProjectError, TemplateError

if TYPE_CHECKING:
    from aiapi.project import Project
    from aiapi.report import Screen
    from aiapi.source import Source

_COMMIT = re.compile(r"^[0-9a-f]{7,64}$|-g[0-9a-f]+$")


def newest(project: Project, found: Source, screen: Screen) -> str | None:
    """Return the default version to update to (None: the newest release); it is never older than the project's."""
    place = found.checkout or Path(found.location)
    if found.ref is None:
        last = releases.latest(releases.ask(found.location, project.folder).tags)
    else:
        last = git.output("describe", "--tags", found.ref, cwd=place) if place.is_dir() else None
    if not last or not _is_older(last, project.recorded.commit):
        return found.ref
    screen.warn(f"the newest version of the template, {last}, is older than the project's.")
    return project.recorded.commit


def wanted(version: str, project: Project, found: Source) -> str:
    """Return the tag of the given release, which may lack its `v`; a commit is returned unchanged.

    Raises:
        TemplateError: If the template has no such release.
        ProjectError: If it is older than the project's.
    """
    tag = f"v{version}" if version[:1].isdigit() and "." in version else version
    answer = releases.ask(str(found.checkout or found.location), project.folder)
    if not answer.problem and tag not in answer.tags and not _COMMIT.search(tag):
        known = sorted(filter(releases.parse, answer.tags), key=lambda each: releases.parse(each) or Version("0"))
        raise TemplateError(f"The template has no release {version}.", remedy=f"It has: {', '.join(known) or 'none'}.")
    if _is_older(tag, project.recorded.commit):
        raise ProjectError(
            f"The project is at {project.recorded.commit}, and {tag} is older.",
            remedy="Updates only go forward. To go back, revert the commit of the update: git revert",
        )
    return tag


def _is_older(one: str, other: str) -> bool:
    first, second = releases.parse(one), releases.parse(other)
    return first is not None and second is not None and first < second
