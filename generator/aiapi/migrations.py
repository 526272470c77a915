"""Read the Alembic revisions of a project without running them."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "migrations/versions"
REMEDY = 'uv run alembic merge heads -m "merge the template\'s migrations"'


@dataclass(frozen=True)
class Revisions:
    """The revisions of a project that may stop Alembic.

    `heads` are the revisions that no other follows: more than one if two were added after the same one. `doubled` maps
    ids that occur more than once to their files.
    """

    heads: tuple[str, ...]
    doubled: dict[str, tuple[str, ...]]

    @property
    def warnings(self) -> tuple[str, ...]:
        """The problems, each with its remedy."""
        problems = [
            f"The migrations {' and '.join(files)} have the same id, {name}. Rename yours: the file, its `revision`,"
            " and the `down_revision` of the next one."
            for name, files in self.doubled.items()
        ]
        if len(self.heads) > 1:
            names = ", ".join(self.heads)
            problems.append(f"The migrations have {len(self.heads)} heads: {names}. Merge them, then review: {REMEDY}")
        return tuple(problems)


def read(project: Path) -> Revisions:
    """Read the revisions of a project."""
    followed: set[str] = set()
    found: defaultdict[str, list[str]] = defaultdict(list)
    for file in sorted((project / FOLDER).glob("*.py")):
        names = _assigned(file)
        revision, before = names.get("revision"), names.get("down_revision")
        if isinstance(revision, str):
            found[revision].append(file.name)
        parents = before if isinstance(before, tuple | list) else (before,)
        followed.update(name for name in parents if isinstance(name, str))
    doubled = {name: tuple(files) for name, files in found.items() if len(files) > 1}
    return Revisions(tuple(sorted(found.keys() - followed)), doubled)


def _assigned(file: Path) -> dict[str, object]:
    """Return the constants that a revision assigns; empty if the file is not valid Python, as in a conflict."""
    names: dict[str, object] = {}
    try:
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name) and target.id in {"revision", "down_revision"}:
                        names[target.id] = ast.literal_eval(node.value)
    except (OSError, SyntaxError, ValueError):
        return {}
    return names
