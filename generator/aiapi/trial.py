"""Trying an update where nobody sees it: the merge, what it does to each file, and nothing touched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiapi import changes, engine, worktree
from aiapi.answers import refuse
from aiapi.carry import Carrier

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from aiapi.changes import Change
    from aiapi.living import Living
    from aiapi.source import Source


@dataclass(frozen=True)
class Trial:
    """What an update would give: the template before and after, each file that changes, and the result itself."""

    before: engine.Rendered
    after: engine.Rendered
    changes: tuple[Change, ...]
    outcome: worktree.Outcome

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
        after = engine.update(folder, ref, answers, source, scratch)
        refuse([f"{key}: the template does not ask for it." for key in answers if key not in after.answers])
        engine.render_as_recorded(before, source, base, scratch)
        engine.render_as_recorded(after, source, new, scratch)
        given, offered = changes.read(base), changes.read(new)
        paths = {*given, *offered} - {engine.ANSWERS_FILE}
        mine = worktree.last_commit(living, paths, scratch / "mine")
        trees = changes.Trees(
            base=_only(given, paths),
            new=_only(offered, paths),
            mine=changes.read(mine),
            result=changes.read(folder, paths),
            links=frozenset(path for path in paths if (mine / path).is_symlink()),
        )
        carrier = Carrier(mine, folder, trees, changes.renames(base, new), scratch)
        told = carrier.carry(trees.classify())
        outcome = worktree.record(folder, {*offered, *(change.kept_in for change in told if change.kept_in)})
        worktree.refuse_to_bury(outcome, living)
        return Trial(before, after, told, outcome)


def _only(tree: Mapping[str, bytes], paths: set[str]) -> dict[str, bytes]:
    return {path: content for path, content in tree.items() if path in paths}
