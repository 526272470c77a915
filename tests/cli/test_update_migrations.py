"""What an update says of migrations that do not follow one another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cli.project_scenes import commit, run_json

if TYPE_CHECKING:
    from cli.command import Command


def test_two_heads_of_migrations_are_told_with_the_remedy(demo: Command) -> None:
    mine = demo.folder / "migrations/versions/0002_mine.py"
    mine.write_text('revision = "ab12"\ndown_revision = "0001"\ndepends_on = None\n')
    commit(demo.folder)
    assert run_json(demo, "update", "--dry-run")[1]["alembic_heads"] == ["0002", "ab12"]
    result = demo("update", "--no-lock", "--json")
    said = json.loads(result.stdout)
    assert (result.returncode, said["alembic_heads"]) == (0, ["0002", "ab12"])
    assert "uv run alembic merge heads" in said["warnings"][0]
    assert "The migrations have 2 heads: 0002, ab12." in result.stderr


def test_two_migrations_of_one_name_are_told_with_the_remedy(demo: Command) -> None:
    versions = demo.folder / "migrations/versions"
    (versions / "0002_mine.py").write_text('revision: str = "0002"\ndown_revision: str | None = "0001"\n')
    (versions / "0003_computed.py").write_text('revision = "0003"\ndown_revision = "".join(["00", "02"])\n')
    commit(demo.folder)
    code, said = run_json(demo, "update", "--no-lock")
    assert code == 0
    assert "0002_mine.py and 0002_second.py have the same id, 0002. Rename yours" in said["warnings"][0]
