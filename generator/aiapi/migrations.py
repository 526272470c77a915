"""The Alembic revisions of a project, read without running them."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = "migrations/versions"
REMEDY = 'uv run alembic merge heads -m "merge the template\'s migrations"'


def heads(project: Path) -> list[str]:
    """Return the revisions that no other one follows: more than one when two were added after the same."""
    followed: set[str] = set()
    found: set[str] = set()
    for file in sorted((project / FOLDER).glob("*.py")):
        names = _assigned(file)
        revision = names.get("revision")
        if isinstance(revision, str):
            found.add(revision)
        before = names.get("down_revision")
        followed.update([before] if isinstance(before, str) else before or ())
    return sorted(found - followed)


def _assigned(file: Path) -> dict[str, str | tuple[str, ...] | None]:
    """Read the constants that a revision assigns; a file that is no Python (in conflict, say) assigns none."""
    try:
        body = ast.parse(file.read_text("utf-8")).body
    except (OSError, SyntaxError, ValueError):
        return {}
    names: dict[str, str | tuple[str, ...] | None] = {}
    for node in body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                if isinstance(target, ast.Name) and target.id in {"revision", "down_revision"}:
                    names[target.id] = ast.literal_eval(node.value)
    return names
