"""What the user reads of an update: what becomes of each file, what is left to decide, and how to take it back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiapi import advice, migrations, switches, unfinished
from aiapi.changes import LOST, Kind
from aiapi.conflicts import shown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiapi.changes import Change
    from aiapi.conflicts import Leftover
    from aiapi.living import Living
    from aiapi.migrations import Revisions
    from aiapi.report import Screen
    from aiapi.steps import Step
    from aiapi.trial import Trial
    from aiapi.unfinished import Unfinished

# Longer lists are cut on the screen, unless they are about the user's own edits.
SHOWN = 8
MEANING = {
    Kind.ADDED: "",
    Kind.UPDATED: "",
    Kind.MERGED: "your edits and the template's, both kept",
    Kind.DELETED: "the template has given it up",
    Kind.LEFT_DELETED: "you deleted it; the template's changes to it are left out",
    Kind.LEFT_LINK: "you made it a link; the template's changes to it are left out",
    Kind.CONFLICT: "both changed the same lines; edit the file, keep what is right",
    Kind.DELETED_WITH_EDITS: "the template has given it up; yours is beside it",
    Kind.RENAMED_WITH_EDITS: "your edits have moved along",
    Kind.BINARY_WITH_EDITS: "nothing can merge it",
    Kind.NOT_MERGED: "your edits did not fit; yours is beside it",
}


@dataclass(frozen=True)
class Shown:
    """How a merge ended: `difference` where it was asked for, `locked` where there was something to lock."""

    dry_run: bool
    difference: str | None
    locked: Step | None


@dataclass(frozen=True)
class Staged:
    """How an update was finished: `locked` as above, and the owner's untracked files `beside` it, left unstaged."""

    locked: Step | None
    beside: tuple[str, ...]


def merged(screen: Screen, project: Living, tried: Trial, shown: Shown) -> None:
    """Tell what a merge does or has done."""
    steps = switches.steps(key for key in tried.new_answers if key in tried.before.answers)
    screen.result(_as_data(project, tried, shown, steps))
    if shown.difference is not None:
        screen.say(shown.difference.rstrip("\n"))
    before, after = tried.before.commit, tried.after.commit
    screen.say(
        f"{project.folder.name}: {before} -> {after}" if before != after else f"{project.folder.name}: {after}", "bold"
    )
    if not tried.changes:
        screen.say(
            f"  {'Only the answers change.' if tried.changes_anything else 'Nothing changes: the project is current.'}"
        )
    for kind in Kind:
        _group(screen, kind, [change for change in tried.changes if change.kind is kind])
    for key, value in tried.new_answers.items():
        screen.say(f"  {key} = {value}" + ("" if key in tried.before.answers else "  (new; change it with aiapi set)"))
    if shown.dry_run:
        for step in steps:
            screen.say(f"  {'First, with the code as it is' if step.with_old_code else 'Afterwards'}: {step}")
        _warn(screen, tried.revisions.warnings)
        screen.say("\nNothing was changed: this was a dry run.")
        return
    if not tried.changes_anything:
        return
    if tried.unresolved:
        _open(screen, project, [(change.place, change.lines) for change in tried.unresolved])
    else:
        _next(screen, project, after, shown.locked, tried.revisions)
    for step in (step for step in steps if not step.with_old_code):
        screen.say(f"  {step}")
    screen.say(f"Take it back with: {unfinished.undo(project)}")


def still_open(screen: Screen, project: Living, note: Unfinished, left: tuple[Leftover, ...]) -> None:
    """Tell what has to be decided before an update is finished."""
    data = [{"path": each.path, "kind": each.kind.value, "lines": list(each.lines)} for each in left]
    undo = unfinished.undo(project)
    screen.result({"ok": False, "from": note.before, "to": note.after, "unresolved": data, "undo": undo})
    _open(screen, project, [(each.path, each.lines) for each in left])
    screen.say(f"Take it back with: {undo}")


def finished(screen: Screen, project: Living, note: Unfinished, staged: Staged) -> None:
    """Tell that an update is finished, and what comes next."""
    locked = staged.locked
    revisions = migrations.read(project.folder)
    screen.result(
        {
            "ok": locked is None or locked.ok,
            "from": note.before,
            "to": note.after,
            "unresolved": [],
            "not_staged": list(staged.beside),
            "alembic_heads": list(revisions.heads),
            "warnings": list(_warnings(locked, revisions)),
            "undo": unfinished.undo(project),
        }
    )
    what = "the update is staged" if staged.beside else "everything is staged"
    screen.say(f"{project.folder.name}: nothing is left to decide, {what}.", "bold")
    if staged.beside:
        screen.say("  Not staged, because git does not track them and they are not of the update:")
    for path in staged.beside:
        screen.say(f"    {shown(path)}")
    _next(screen, project, note.after, locked, revisions)
    screen.say(f"Take it back with: {unfinished.undo(project)}")


def nothing_to_set(screen: Screen, project: Living, wanted: Mapping[str, str]) -> None:
    """Tell that the project has these answers already."""
    screen.result({"ok": True, "project": str(project.folder), "changes": [], "answers": dict(wanted)})
    screen.say(f"Nothing to do: {', '.join(f'{key} is {value}' for key, value in wanted.items())} already.")


def _group(screen: Screen, kind: Kind, group: list[Change]) -> None:
    if not group:
        return
    meaning = f"  {MEANING[kind]}" if MEANING[kind] else ""
    screen.say(f"  {kind} ({len(group)}){meaning}", "yellow" if kind in {Kind.CONFLICT, *LOST} else "")
    plain = kind in {Kind.ADDED, Kind.UPDATED, Kind.DELETED, Kind.MERGED}
    for change in group[:SHOWN] if plain else group:
        screen.say(f"    {_place(change)}")
    if plain and len(group) > SHOWN:
        screen.say(f"    and {len(group) - SHOWN} more (--json lists all)")


def _place(change: Change) -> str:
    lines = f", line {', '.join(map(str, change.lines))}" if change.lines else ""
    if change.kept_in == change.path:
        return f"{change.path}, which stays as you have it"
    moved = f" -> {change.kept_in}" if change.kept_in else ""
    return f"{change.path}{moved}{lines}"


def _open(screen: Screen, project: Living, places: list[tuple[str, tuple[int, ...]]]) -> None:
    screen.say(f"\nLeft to decide ({len(places)}):", "bold")
    for path, lines in places:
        if path.endswith(".yours"):
            screen.say(f"  {path}: take over what you need, then delete it (or rename it, to keep it)")
        else:
            screen.say(f"  {path}" + (f": conflict in line {', '.join(map(str, lines))}" if lines else ""))
    screen.say(f"Then: {advice.with_aiapi(project, 'update --continue')}")


def _next(screen: Screen, project: Living, version: str, locked: Step | None, revisions: Revisions) -> None:
    _warn(screen, _warnings(locked, revisions))
    screen.say("\nNext:", "bold")
    for line in advice.after_update(project, version):
        screen.say(f"  {line}")


def _warnings(locked: Step | None, revisions: Revisions) -> tuple[str, ...]:
    failed = (f"{locked.name} failed: {locked.detail}. {locked.remedy}",) if locked and not locked.ok else ()
    return (*failed, *revisions.warnings)


def _warn(screen: Screen, warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        screen.warn(warning)


def _as_data(project: Living, tried: Trial, shown: Shown, steps: list[switches.Step]) -> dict[str, Any]:
    data: dict[str, Any] = {
        "ok": not tried.unresolved and (shown.locked is None or shown.locked.ok),
        "project": str(project.folder),
        "from": tried.before.commit,
        "to": tried.after.commit,
        "applied": tried.changes_anything and not shown.dry_run,
        "changes": [
            {"path": c.path, "kind": c.kind.value, "kept_in": c.kept_in or None, "conflict_lines": list(c.lines)}
            for c in tried.changes
        ],
        "unresolved": [change.place for change in tried.unresolved],
        "answers": tried.new_answers,
        "data_steps": [{"step": str(step), "with_old_code": step.with_old_code} for step in steps],
        "alembic_heads": list(tried.revisions.heads),
        "warnings": list(_warnings(shown.locked, tried.revisions)),
        "undo": unfinished.undo(project),
    }
    if shown.difference is not None:
        data["difference"] = shown.difference
    if shown.locked is not None:
        data["locked"] = shown.locked.ok
    return data
