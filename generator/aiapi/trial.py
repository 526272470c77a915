"""Trying an update where nobody sees it: the merge, what it does to each file, and nothing touched."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from aiapi import changes, endings, engine, migrations, worktree
from aiapi.answers import refuse
from aiapi.carry import Carrier
from aiapi.changes import Change, Kind
from aiapi.errors import ProjectError, TemplateError
from aiapi.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from aiapi.living import Living
    from aiapi.source import Source


@dataclass(frozen=True)
class Trial:
    """What an update would give: the template before and after, each file that changes, and the result itself.

    `changes_anything` is true even when only the answers file changes, which is not among the `changes`.
    """

    before: engine.Rendered
    after: engine.Rendered
    changes: tuple[Change, ...]
    outcome: worktree.Outcome
    changes_anything: bool
    revisions: migrations.Revisions

    @property
    def unresolved(self) -> tuple[Change, ...]:
        """The changes that leave something to decide."""
        return tuple(change for change in self.changes if change.unresolved)

    @property
    def new_answers(self) -> dict[str, str]:
        """Answers to questions that the project had not been asked before, or that are answered anew."""
        before = self.before.answers
        return {key: value for key, value in self.after.answers.items() if before.get(key) != value}


def attempt(living: Living, source: Source, ref: str | None, answers: Mapping[str, str], scratch: Path) -> Trial:
    """Update the project's last commit in a working tree under `scratch`.

    Raises:
        TemplateError: When a version of the template cannot be had, or is older than the project's.
        AnswersError: When the template does not ask for one of the answers.
        ProjectError: When a file that git does not track is in the way.
    """
    base, new, before = scratch / "base", scratch / "new", living.recorded
    with worktree.beside(living, scratch) as folder:
        _refuse_names(worktree.tracked(folder))
        engine.render_as_recorded(before, source, base, scratch)
        given = changes.read(base)
        _refuse_linked_folders(folder, given)
        after = _update(living, folder, replace(source, ref=ref), answers, scratch)
        refuse([f"{key}: the template does not ask for it." for key in answers if key not in after.answers])
        engine.render_as_recorded(after, source, new, scratch)
        offered = changes.read(new)
        paths = {*given, *offered} - {engine.ANSWERS_FILE}
        mine = worktree.last_commit(living, paths, scratch / "mine")
        converted = endings.converted(folder, paths)
        trees = changes.Trees(
            base=endings.kept(_only(given, paths), converted),
            new=endings.kept(_only(offered, paths), converted),
            mine=endings.kept(changes.read(mine), converted),
            result=endings.kept(changes.read(folder, paths), converted),
            links=frozenset(path for path in paths if (mine / path).is_symlink()),
        )
        carrier = Carrier(mine, folder, trees, changes.renames(base, new), scratch)
        told = carrier.carry(trees.classify())
        told = tuple(
            sorted({*told, *_turned(folder, mine, paths - {each.path for each in told})}, key=lambda each: each.path)
        )
        outcome = worktree.record(
            folder,
            owned={*offered, *(each.kept_in for each in told if each.kept_in)},
            conflicts={each.place for each in told if each.lines},
        )
        worktree.refuse_to_bury(outcome, living)
        return Trial(before, after, told, outcome, worktree.changes_anything(outcome, living), migrations.read(folder))


def _update(living: Living, folder: Path, source: Source, answers: Mapping[str, str], scratch: Path) -> engine.Rendered:
    """Let Copier merge; where it stumbles over a folder in the place of a file, or the other way round, name them."""
    try:
        return engine.update(folder, source.ref, answers, source, scratch)
    except (AssertionError, TemplateError):
        known, space = worktree.tracked(living.folder), scratch / "names"
        given = Project(living.folder.name, space, {**living.recorded.answers, **answers}, source)
        engine.render(given, space, scratch)
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
            remedy="Give yours another name (git mv), commit, then run the command again.",
            problems=clashing,
        )


def _refuse_names(paths: Iterable[str]) -> None:
    """Raise `ProjectError` for names that are not UTF-8: Copier cannot read them."""
    odd = tuple(sorted(ascii(path) for path in paths if any("\udc80" <= letter <= "\udcff" for letter in path)))
    if odd:
        raise ProjectError(
            "Names of files that are not UTF-8 cannot be read by Copier.",
            remedy="Rename them (git mv), commit, then run the command again.",
            problems=odd,
        )


def _refuse_linked_folders(folder: Path, paths: Iterable[str]) -> None:
    """Raise `ProjectError` where a folder of the template is a link: Copier would write to wherever it points."""
    parents = {parent for path in paths for parent in PurePath(path).parents}
    linked = sorted(str(parent) for parent in parents if (folder / parent).is_symlink())
    if linked:
        raise ProjectError(
            f"{', '.join(linked)}: a link, where the template has a folder; its files could be written anywhere.",
            remedy="Make it a folder again (git rm the link, commit); links to single files are fine.",
        )


def _turned(folder: Path, mine: Path, paths: set[str]) -> Iterator[Change]:
    """Tell of files that change in nothing but that they can be executed."""
    for path in paths:
        before, after = mine / path, folder / path
        both = before.is_file() and after.is_file() and not after.is_symlink()
        if both and os.access(before, os.X_OK) != os.access(after, os.X_OK):
            yield Change(path, Kind.UPDATED)


def _only(tree: Mapping[str, bytes], paths: set[str]) -> dict[str, bytes]:
    return {path: content for path, content in tree.items() if path in paths}
