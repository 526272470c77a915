"""The Alembic revisions of a project, read without running them."""

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
    """What of a project's revisions Alembic could not upgrade to, or might stumble over.

    `heads` are those that no other one follows: more than one when two were added after the same. `doubled` maps
    the names that several have to the files in which they stand.
    """

    heads: tuple[str, ...]
    doubled: dict[str, tuple[str, ...]]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong, each with its remedy."""
        told = [
            f"The migrations {' and '.join(files)} are both called {name}. Rename yours: the file, its `revision`, and "
            "the `down_revision` of what follows it."
            for name, files in self.doubled.items()
        ]
        if len(self.heads) > 1:
            names = ", ".join(self.heads)
            told.append(f"The migrations have {len(self.heads)} heads: {names}. Join them, and look at it: {REMEDY}")
        return tuple(told)


def read(project: Path) -> Revisions:
    """Read what the files of the revisions say."""
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
    """Read the constants that a revision assigns; a file that is no Python (in conflict, say) assigns none."""
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
