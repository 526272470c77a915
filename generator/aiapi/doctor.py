"""The course of `aiapi doctor`: this machine, and whether the project here can be updated without losing anything."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from aiapi import conflicts, engine, git, living, machine, releases, source
from aiapi.errors import AiapiError
from aiapi.machine import Check

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiapi.report import Screen
    from aiapi.source import Source

RELINK = "If it has moved, say where it is now: aiapi relink SOURCE"
_SHOWN = 10


def report(screen: Screen) -> bool:
    """Run every check, show them, and tell whether everything that is required is there."""
    here = Path.cwd()
    checks = [*machine.check(here), *project(here, screen)]
    ready = all(check.ok for check in checks if check.required)
    screen.result({"ok": ready, "checks": [asdict(check) for check in checks]})
    for check in checks:
        verdict, style = ("ok", "green") if check.ok else ("MISSING", "red") if check.required else ("note", "yellow")
        screen.say(f"{verdict:<8} {check.name}: {check.detail}", style)
        if not check.ok and check.remedy:
            screen.say(f"{'':<8} {check.remedy}")
    return ready


def project(folder: Path, screen: Screen) -> list[Check]:
    """Check the project that `folder` is or lies in; nothing where there is none."""
    root = living.root(folder)
    if root is None:
        return []
    checks = [*_leftovers(root), *_overlooked(root)]
    try:
        recorded = engine.read_answers(root)
    except AiapiError as error:
        return [Check("project", ok=False, detail=error.message, remedy=error.remedy), *checks]
    made = f"made from {recorded.template} at {recorded.commit}"
    try:
        origin = source.of_project(recorded)
    except AiapiError as error:
        gone = (place := source.local_path(recorded.template)) is not None and not place.exists()
        found = [] if gone else [Check("project", ok=True, detail=made)]
        detail = f"{made}: {error.message}" if gone else error.message
        failed = Check("project" if gone else "version", ok=False, detail=detail, remedy=error.remedy)
        return [*found, failed, *checks]
    with screen.working("Looking for the template, and rendering it as this project was made from it"):
        answer = releases.ask(recorded.template, root)
        owned = _owned(root, recorded, origin, answer)
    return [Check("project", ok=True, detail=made), _source(recorded.template, answer), *owned, *checks]


def _source(location: str, answer: releases.Answer) -> Check:
    if not answer.problem:
        newest = releases.latest(answer.tags)
        return Check("source", ok=True, detail=f"reachable, newest release: {newest or 'none'}")
    detail = f"{location} could not be asked: {answer.problem}"
    remedy = "Plain `copier update` needs it; try again with a network." if answer.offline else RELINK
    return Check("source", ok=False, detail=detail, required=not answer.offline, remedy=remedy)


def _owned(root: Path, recorded: engine.Rendered, origin: Source, answer: releases.Answer) -> list[Check]:
    """Render the project's version: that proves that it can be had, and tells which files the template owns."""
    if answer.problem and origin.checkout is None:
        return []  # the source is what to look at first
    with tempfile.TemporaryDirectory(prefix="aiapi-doctor-", ignore_cleanup_errors=True) as space:
        scratch, copy = Path(space) / "scratch", Path(space) / "copy"
        scratch.mkdir()
        try:
            engine.render_as_recorded(recorded, origin, copy, scratch)
        except AiapiError as error:
            detail = f"{recorded.commit} cannot be had: {error.message}"
            return [Check("version", ok=False, detail=detail, remedy=RELINK)]
        emitted = [path.relative_to(copy).as_posix() for path in copy.rglob("*") if not path.is_dir()]
    return [Check("version", ok=True, detail=f"{recorded.commit} is there and renders"), *_ignored(root, emitted)]


def _ignored(root: Path, emitted: Iterable[str]) -> list[Check]:
    """Check that git does not ignore what the template owns: an update overwrites it, and nothing has the old state."""
    here = [path for path in emitted if _lies_in(root, path)]
    told = git.attempt("check-ignore", "--no-index", "-z", "--stdin", cwd=root, given="\0".join(here)).stdout
    tracked = set(git.attempt("ls-files", "-z", cwd=root).stdout.split("\0"))
    ignored = sorted(path for path in told.split("\0") if path)
    lost = [path for path in ignored if path not in tracked]
    kept = [path for path in ignored if path in tracked]
    checks = []
    if lost:
        remedy = "An update overwrites them, and git has no copy: let git no longer ignore them, and commit them."
        checks.append(Check("ignored files", ok=False, detail=f"of the template: {_listed(lost)}", remedy=remedy))
    if kept:
        remedy = "An update may overwrite your edits in them; only commits keep those. Let git no longer ignore them."
        detail = f"of the template, though tracked: {_listed(kept)}"
        checks.append(Check("ignored files", ok=False, detail=detail, required=False, remedy=remedy))
    return checks or [Check("ignored files", ok=True, detail="none that the template owns")]


def _lies_in(root: Path, path: str) -> bool:
    """Tell whether a file is there; what lies behind a link of the user's is not the project's."""
    file = root / path
    return file.is_file() and not any((root / each).is_symlink() for each in Path(path).parents if each != Path())


def _leftovers(root: Path) -> list[Check]:
    try:
        left = conflicts.find(root)
    except AiapiError as error:
        return [Check("leftovers", ok=False, detail=error.message, required=False, remedy=error.remedy)]
    if not left:
        return [Check("leftovers", ok=True, detail="no conflict is open")]
    remedy = "Decide each, delete what is done with, and commit."
    return [Check("leftovers", ok=False, detail=_listed(left), remedy=remedy)]


def _overlooked(root: Path) -> list[Check]:
    """Check that git looks at every file: an update refuses where it is told not to."""
    found = living.overlooked(root)
    remedy = "Let git look at them again, each by its command."
    return [Check("overlooked files", ok=False, detail="; ".join(found[:_SHOWN]), remedy=remedy)] if found else []


def _listed(items: Sequence[str | conflicts.Leftover]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(conflicts.shown(each) if isinstance(each, str) else str(each) for each in items[:_SHOWN]) + more
