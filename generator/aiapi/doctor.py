"""Run `aiapi doctor`: check this machine and, inside a project, whether it can be updated without losing edits."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from aiapi import conflicts, engine, git, machine, releases, source
from aiapi.errors import AiapiError
from aiapi.machine import Check
from aiapi.project import project_root, skipped_files

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from aiapi.report import Screen
    from aiapi.source import Source

RELINK = "If it has moved, record the new location: aiapi relink SOURCE"
_SHOWN = 10


def report(screen: Screen) -> bool:
    """Run and show every check; return whether all required ones passed."""
    here = Path.cwd()
    checks = [*machine.check(here), *check_project(here, screen)]
    ready = all(check.ok for check in checks if check.required)
    screen.result({"ok": ready, "checks": [asdict(check) for check in checks]})
    for check in checks:
        verdict, style = ("ok", "green") if check.ok else ("FAIL", "red") if check.required else ("note", "yellow")
        screen.say(f"{verdict:<8} {check.name}: {check.detail}", style)
        if not check.ok and check.remedy:
            screen.say(f"{'':<8} {check.remedy}")
    return ready


def check_project(folder: Path, screen: Screen) -> list[Check]:
    """Check the project that contains `folder`; return no checks if there is none."""
    root = project_root(folder)
    if root is None:
        return []
    checks = [*_leftovers(root), *_skipped(root)]
    try:
        recorded = engine.read_answers(root)
    except AiapiError as error:
        return [Check("project", ok=False, detail=error.message, remedy=error.remedy), *checks]
    at = f"at {recorded.commit} of {recorded.template}"
    try:
        origin = source.of_project(recorded)
    except AiapiError as error:
        gone = (place := source.local_path(recorded.template)) is not None and not place.exists()
        found = [] if gone else [Check("project", ok=True, detail=at)]
        detail = f"{at}: {error.message}" if gone else error.message
        failed = Check("project" if gone else "version", ok=False, detail=detail, remedy=error.remedy)
        return [*found, failed, *checks]
    with screen.working("Looking up the template, and rendering the project's version"):
        answer = releases.ask(recorded.template, root)
        version = _version(root, recorded, origin, answer)
    return [Check("project", ok=True, detail=at), _source(recorded.template, answer), *version, *checks]


def _source(location: str, answer: releases.Answer) -> Check:
    if not answer.problem:
        newest = releases.latest(answer.tags)
        return Check("source", ok=True, detail=f"reachable, newest release: {newest or 'none'}")
    detail = f"{location} did not answer: {answer.problem}"
    remedy = "Plain `copier update` needs it: try again with a network." if answer.offline else RELINK
    return Check("source", ok=False, detail=detail, required=not answer.offline, remedy=remedy)


def _version(root: Path, recorded: engine.Rendered, origin: Source, answer: releases.Answer) -> list[Check]:
    """Check that the project's version renders, and that git does not ignore any of its files."""
    if answer.problem and origin.checkout is None:
        return []  # the source has to be fixed first
    with tempfile.TemporaryDirectory(prefix="aiapi-doctor-", ignore_cleanup_errors=True) as space:
        scratch, copy = Path(space) / "scratch", Path(space) / "copy"
        scratch.mkdir()
        try:
            engine.render_as_recorded(recorded, origin, copy, scratch)
        except AiapiError as error:
            detail = f"{recorded.commit} is not available: {error.message}"
            return [Check("version", ok=False, detail=detail, remedy=RELINK)]
        emitted = [path.relative_to(copy).as_posix() for path in copy.rglob("*") if not path.is_dir()]
    return [Check("version", ok=True, detail=f"{recorded.commit} is available and renders"), *_ignored(root, emitted)]


def _ignored(root: Path, emitted: Iterable[str]) -> list[Check]:
    """Check that git does not ignore files of the template: an update overwrites them, and git has no copy."""
    here = [path for path in emitted if _lies_in(root, path)]
    # With ./ before it, git does not take a name that begins with a colon for a pattern.
    stdin = "\0".join(f"./{path}" for path in here)
    listed = git.run("check-ignore", "--no-index", "-z", "--stdin", cwd=root, stdin=stdin).stdout
    tracked = set(git.run("ls-files", "-z", cwd=root).stdout.split("\0"))
    ignored = sorted(path.removeprefix("./") for path in listed.split("\0") if path)
    lost = [path for path in ignored if path not in tracked]
    kept = [path for path in ignored if path in tracked]
    checks = []
    if lost:
        remedy = "An update overwrites them, and git has no copy: stop ignoring them, and commit them."
        checks.append(Check("ignored files", ok=False, detail=f"files of the template: {_listed(lost)}", remedy=remedy))
    if kept:
        remedy = "An update may overwrite uncommitted edits in them: stop ignoring them."
        detail = f"files of the template, though tracked: {_listed(kept)}"
        checks.append(Check("ignored files", ok=False, detail=detail, required=False, remedy=remedy))
    return checks or [Check("ignored files", ok=True, detail="none of the template's")]


def _lies_in(root: Path, path: str) -> bool:
    """Tell whether a file exists in the project; a file in a linked folder does not count."""
    file = root / path
    return file.is_file() and not any((root / each).is_symlink() for each in Path(path).parents if each != Path())


def _leftovers(root: Path) -> list[Check]:
    try:
        left = conflicts.find(root)
    except AiapiError as error:
        return [Check("leftovers", ok=False, detail=error.message, required=False, remedy=error.remedy)]
    if not left:
        return [Check("leftovers", ok=True, detail="no unresolved conflicts")]
    remedy = "Resolve each, delete .rej and .yours files, and commit."
    return [Check("leftovers", ok=False, detail=_listed(left), remedy=remedy)]


def _skipped(root: Path) -> list[Check]:
    """Check that git skips changes to no file: an update would refuse to run."""
    found = skipped_files(root)
    remedy = "Run the command listed for each."
    return [Check("skipped files", ok=False, detail="; ".join(found[:_SHOWN]), remedy=remedy)] if found else []


def _listed(items: Sequence[str | conflicts.Leftover]) -> str:
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return (
        ", ".join(conflicts.printable(each) if isinstance(each, str) else str(each) for each in items[:_SHOWN]) + more
    )
