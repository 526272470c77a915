"""Report what an update does to each file, what is left to resolve, and how to undo it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiapi import command_hints, data_steps, migrations, update_state
from aiapi.changes import LOST, Kind
from aiapi.conflicts import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiapi.changes import Change
    from aiapi.conflicts import Leftover
    from aiapi.data_steps import DataStep
    from aiapi.merge_preview import MergePreview
    from aiapi.migrations import Revisions
    from aiapi.project import Project
    from aiapi.report import Screen
    from aiapi.steps import Step
    from aiapi.update_state import PendingUpdate

# Longer lists are cut on the screen, unless they are about the user's own edits.
SHOWN = 8
MEANING = {
    Kind.ADDED: "",
    Kind.UPDATED: "",
    Kind.MERGED: "your edits and the template's are both kept",
    Kind.DELETED: "removed from the template",
    Kind.LEFT_DELETED: "you deleted it; the template's changes to it are dropped",
    Kind.LEFT_LINK: "you made it a link; the template's changes to it are dropped",
    Kind.CONFLICT: "both changed the same lines; edit the file and keep what is right",
    Kind.DELETED_WITH_EDITS: "removed from the template; your version is saved",
    Kind.RENAMED_WITH_EDITS: "your edits are in the renamed file",
    Kind.BINARY_WITH_EDITS: "binary files cannot be merged",
    Kind.NOT_MERGED: "your edits could not be merged; your version is saved",
}


@dataclass(frozen=True)
class Shown:
    """How a merge ended: with the `difference` if it was asked for, and `locked` if uv.lock was updated."""

    dry_run: bool
    difference: str | None
    locked: Step | None


@dataclass(frozen=True)
class Staged:
    """How an update was finished: with `locked` if uv.lock was updated, and the `untracked` files left unstaged."""

    locked: Step | None
    untracked: tuple[str, ...]


def merged(screen: Screen, project: Project, preview: MergePreview, shown: Shown) -> None:
    """Report what a merge has done, or would do."""
    steps = data_steps.required_steps(key for key in preview.new_answers if key in preview.before.answers)
    screen.result(_as_data(project, preview, shown, steps))
    if shown.difference is not None:
        screen.say(shown.difference.rstrip("\n"))
    _show_changes(screen, project, preview)
    if shown.dry_run:
        for step in steps:
            screen.say(f"  {'First, with the old code' if step.with_old_code else 'Afterwards'}: {step}")
        _warn(screen, preview.revisions.warnings)
        screen.say("\nNothing was changed: this was a dry run.")
        return
    if not preview.changes_anything:
        return
    if preview.unresolved:
        _list_unresolved(screen, project, [(change.place, change.lines) for change in preview.unresolved])
    else:
        _show_next(screen, project, preview.after.commit, shown.locked, preview.revisions)
    for step in (step for step in steps if not step.with_old_code):
        screen.say(f"  {step}")
    screen.say(f"Undo with: {update_state.undo_command(project)}")


def still_open(screen: Screen, project: Project, pending: PendingUpdate, left: tuple[Leftover, ...]) -> None:
    """Report what must be resolved before an update can be finished."""
    data = [{"path": each.path, "kind": each.kind.value, "lines": list(each.lines)} for each in left]
    undo = update_state.undo_command(project)
    screen.result({"ok": False, "from": pending.before, "to": pending.after, "unresolved": data, "undo": undo})
    _list_unresolved(screen, project, [(each.path, each.lines) for each in left])
    screen.say(f"Undo with: {undo}")


def finished(screen: Screen, project: Project, pending: PendingUpdate, staged: Staged) -> None:
    """Report that an update is finished, and what comes next."""
    locked = staged.locked
    revisions = migrations.read(project.folder)
    undo = update_state.undo_command(project)
    screen.result(
        {
            "ok": locked is None or locked.ok,
            "from": pending.before,
            "to": pending.after,
            "unresolved": [],
            "not_staged": list(staged.untracked),
            "alembic_heads": list(revisions.heads),
            "warnings": list(_warnings(locked, revisions)),
            "undo": undo,
        }
    )
    what = "the update is staged" if staged.untracked else "everything is staged"
    screen.say(f"{project.folder.name}: nothing is left to resolve, {what}.", "bold")
    if staged.untracked:
        screen.say("  Your untracked files are not staged:")
    for path in staged.untracked:
        screen.say(f"    {printable(path)}")
    _show_next(screen, project, pending.after, locked, revisions)
    screen.say(f"Undo with: {undo}")


def nothing_to_set(screen: Screen, project: Project, wanted: Mapping[str, str]) -> None:
    """Report that the project has these answers already."""
    screen.result({"ok": True, "project": str(project.folder), "changes": [], "answers": dict(wanted)})
    screen.say(f"Nothing to do: {', '.join(f'{key} is {value}' for key, value in wanted.items())} already.")


def _show_changes(screen: Screen, project: Project, preview: MergePreview) -> None:
    name, before, after = project.folder.name, preview.before.commit, preview.after.commit
    screen.say(f"{name}: {before} -> {after}" if before != after else f"{name}: {after}", "bold")
    if not preview.changes:
        only = "Only the answers change." if preview.changes_anything else "Nothing changes: the project is up to date."
        screen.say(f"  {only}")
    for kind in Kind:
        _show_group(screen, kind, [change for change in preview.changes if change.kind is kind])
    for key, value in preview.new_answers.items():
        new = "" if key in preview.before.answers else "  (new; change it with aiapi set)"
        screen.say(f"  {key} = {value}{new}")


def _show_group(screen: Screen, kind: Kind, group: list[Change]) -> None:
    if not group:
        return
    meaning = f"  {MEANING[kind]}" if MEANING[kind] else ""
    screen.say(f"  {kind} ({len(group)}){meaning}", "yellow" if kind in {Kind.CONFLICT, *LOST} else "")
    plain = kind in {Kind.ADDED, Kind.UPDATED, Kind.DELETED, Kind.MERGED}
    for change in group[:SHOWN] if plain else group:
        screen.say(f"    {_describe(change)}")
    if plain and len(group) > SHOWN:
        screen.say(f"    and {len(group) - SHOWN} more (--json lists all)")


def _describe(change: Change) -> str:
    lines = f", line {', '.join(map(str, change.lines))}" if change.lines else ""
    if change.kept_in == change.path:
        return f"{change.path} (your version is kept)"
    moved = f" -> {change.kept_in}" if change.kept_in else ""
    return f"{change.path}{moved}{lines}"


def _list_unresolved(screen: Screen, project: Project, places: list[tuple[str, tuple[int, ...]]]) -> None:
    screen.say(f"\nLeft to resolve ({len(places)}):", "bold")
    for path, lines in places:
        if path.endswith(".yours"):
            screen.say(f"  {path}: copy what you need, then delete it (or rename it to keep it)")
        else:
            screen.say(f"  {path}" + (f": conflict on line {', '.join(map(str, lines))}" if lines else ""))
    screen.say(f"Then: {command_hints.aiapi_command(project, 'update --continue')}")


def _show_next(screen: Screen, project: Project, version: str, locked: Step | None, revisions: Revisions) -> None:
    _warn(screen, _warnings(locked, revisions))
    screen.say("\nNext:", "bold")
    for line in command_hints.next_steps(project, version):
        screen.say(f"  {line}")


def _warnings(locked: Step | None, revisions: Revisions) -> tuple[str, ...]:
    failed = (f"{locked.name} failed: {locked.detail}. {locked.remedy}",) if locked and not locked.ok else ()
    return (*failed, *revisions.warnings)


def _warn(screen: Screen, warnings: tuple[str, ...]) -> None:
    for warning in warnings:
        screen.warn(warning)


def _as_data(project: Project, preview: MergePreview, shown: Shown, steps: list[DataStep]) -> dict[str, Any]:
    data: dict[str, Any] = {
        "ok": not preview.unresolved and (shown.locked is None or shown.locked.ok),
        "project": str(project.folder),
        "from": preview.before.commit,
        "to": preview.after.commit,
        "applied": preview.changes_anything and not shown.dry_run,
        "changes": [
            {"path": c.path, "kind": c.kind.value, "kept_in": c.kept_in or None, "conflict_lines": list(c.lines)}
            for c in preview.changes
        ],
        "unresolved": [change.place for change in preview.unresolved],
        "answers": preview.new_answers,
        "data_steps": [{"step": str(step), "with_old_code": step.with_old_code} for step in steps],
        "alembic_heads": list(preview.revisions.heads),
        "warnings": list(_warnings(shown.locked, preview.revisions)),
        "undo": update_state.undo_command(project),
    }
    if shown.difference is not None:
        data["difference"] = shown.difference
    if shown.locked is not None:
        data["locked"] = shown.locked.ok
    return data
