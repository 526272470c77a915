"""Try an update in a temporary worktree: merge, and classify what happens to each file."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from aiapi import changes, engine, line_endings, migrations, worktree
from aiapi.answers import refuse
from aiapi.changes import Change, Kind
from aiapi.errors import ProjectError, TemplateError
from aiapi.new_project import NewProject
from aiapi.preserve_edits import EditPreserver

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from aiapi.project import Project
    from aiapi.source import Source


@dataclass(frozen=True)
class MergePreview:
    """The result of an update before it is applied: the template before and after, the changes, and the outcome.

    `changes_anything` is true even if only the answers file changes, which is not listed in `changes`.
    """

    before: engine.Rendered
    after: engine.Rendered
    changes: tuple[Change, ...]
    outcome: worktree.Outcome
    changes_anything: bool
    revisions: migrations.Revisions

    @property
    def unresolved(self) -> tuple[Change, ...]:
        """The changes about which the user has to decide."""
        return tuple(change for change in self.changes if change.unresolved)

    @property
    def new_answers(self) -> dict[str, str]:
        """The answers that are new or have changed."""
        before = self.before.answers
        return {key: value for key, value in self.after.answers.items() if before.get(key) != value}


def preview_merge(
    project: Project, source: Source, ref: str | None, answers: Mapping[str, str], scratch: Path
) -> MergePreview:
    """Update the project's last commit in a worktree under `scratch`.

    Raises:
        TemplateError: If a version of the template cannot be fetched or rendered, or is older than the project's.
        AnswersError: If the template does not ask for one of the answers.
        ProjectError: If Copier cannot merge the project, or an untracked file is in the way.
    """
    base, new, before = scratch / "base", scratch / "new", project.recorded
    with worktree.temporary_worktree(project, scratch) as folder:
        _refuse_names(worktree.tracked(folder))
        engine.render_as_recorded(before, source, base, scratch)
        given = changes.read(base)
        _refuse_linked_folders(folder, given)
        after = _update(project, folder, replace(source, ref=ref), answers, scratch)
        refuse([f"{key}: the template does not ask for it." for key in answers if key not in after.answers])
        engine.render_as_recorded(after, source, new, scratch)
        offered = changes.read(new)
        paths = {*given, *offered} - {engine.ANSWERS_FILE}
        mine = worktree.export_last_commit(project, paths, scratch / "mine")
        converted = line_endings.converted_paths(folder, paths)
        trees = changes.Trees(
            base=line_endings.normalized(_only(given, paths), converted),
            new=line_endings.normalized(_only(offered, paths), converted),
            mine=line_endings.normalized(changes.read(mine), converted),
            result=line_endings.normalized(changes.read(folder, paths), converted),
            links=frozenset(path for path in paths if (mine / path).is_symlink()),
        )
        preserver = EditPreserver(mine, folder, trees, changes.renames(base, new), scratch)
        preserved = preserver.preserve(trees.classify())
        modes = _mode_changes(folder, mine, paths - {each.path for each in preserved})
        changed = tuple(sorted({*preserved, *modes}, key=lambda each: each.path))
        outcome = worktree.write_outcome(
            folder,
            owned={*offered, *(each.kept_in for each in changed if each.kept_in)},
            conflicts={each.place for each in changed if each.lines},
        )
        worktree.refuse_to_overwrite(outcome, project)
        different = worktree.changes_anything(outcome, project)
        return MergePreview(before, after, changed, outcome, different, migrations.read(folder))


def _update(
    project: Project, folder: Path, source: Source, answers: Mapping[str, str], scratch: Path
) -> engine.Rendered:
    """Let Copier merge; if it fails because a file and a folder have the same path, name them."""
    try:
        return engine.update(folder, source.ref, answers, source, scratch)
    except (AssertionError, TemplateError):
        known, space = worktree.tracked(project.folder), scratch / "names"
        wanted = NewProject(project.folder.name, space, {**project.recorded.answers, **answers}, source)
        engine.render(wanted, space, scratch)
        _refuse_clashes(known, changes.read(space).keys())
        raise


def _refuse_clashes(known: set[str], offered: Iterable[str]) -> None:
    folders = {str(parent) for path in known for parent in PurePath(path).parents}
    offered = set(offered)
    wanted = {str(parent) for path in offered for parent in PurePath(path).parents}
    clashing = tuple(sorted((folders & offered) | (known & wanted)))
    if clashing:
        raise ProjectError(
            "You have a folder where the template has a file, or a file where it has a folder.",
            remedy="Rename yours (git mv), commit, then run the command again.",
            problems=clashing,
        )


def _refuse_names(paths: Iterable[str]) -> None:
    """Raise `ProjectError` for file names that are not UTF-8: Copier cannot read them."""
    odd = tuple(sorted(ascii(path) for path in paths if any("\udc80" <= letter <= "\udcff" for letter in path)))
    if odd:
        raise ProjectError(
            "Copier cannot read file names that are not UTF-8.",
            remedy="Rename them (git mv), commit, then run the command again.",
            problems=odd,
        )


def _refuse_linked_folders(folder: Path, paths: Iterable[str]) -> None:
    """Raise `ProjectError` if a folder of the template is a link in the project: Copier would write to its target."""
    parents = {parent for path in paths for parent in PurePath(path).parents}
    linked = sorted(str(parent) for parent in parents if (folder / parent).is_symlink())
    if linked:
        raise ProjectError(
            f"{', '.join(linked)}: a link where the template has a folder; the update would write to its target.",
            remedy="Replace it by a folder (git rm the link, commit). Links to single files are fine.",
        )


def _mode_changes(folder: Path, mine: Path, paths: set[str]) -> Iterator[Change]:
    """Yield the files of which only the executable bit changes."""
    for path in paths:
        before, after = mine / path, folder / path
        both = before.is_file() and after.is_file() and not after.is_symlink()
        if both and os.access(before, os.X_OK) != os.access(after, os.X_OK):
            yield Change(path, Kind.UPDATED)


def _only(tree: Mapping[str, bytes], paths: set[str]) -> dict[str, bytes]:
    return {path: content for path, content in tree.items() if path in paths}
