"""What happens to a project in its life: it is made, its owner works on it, releases come."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from copier import run_copy

from template_repository import ISOLATION, save

AIAPI = str(Path(sys.executable).with_name("aiapi"))
# The owner's own work, in files of their own and in files of the template.
FEATURE = {
    "src/app/billing/__init__.py": '"""What customers owe."""\n',
    "src/app/billing/models.py": '''"""The table of invoices."""

from decimal import Decimal

from sqlalchemy.orm import Mapped

from app.database import Record


class Invoice(Record):
    """What a customer owes, in euros."""

    __tablename__ = "invoices"

    customer: Mapped[str]
    amount: Mapped[Decimal]
''',
    "tests/billing/test_models.py": '''"""Invoices."""

import humanize

from app.billing.models import Invoice


def test_an_invoice_knows_its_table() -> None:
    assert humanize.apnumber(1) == "one"
    assert Invoice.__tablename__ == "invoices"
''',
    "migrations/versions/9f3c_invoices.py": '''"""Invoices."""

import sqlalchemy as sa
from alembic import op

revision = "9f3c"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "invoices",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("customer", sa.String(), nullable=False),
        sa.Column("amount", sa.Numeric(), nullable=False),
    )


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("invoices")
''',
}
DEPENDENCY = '  "humanize>=4",\n'
RUNBOOK = "\n## Our runbook\n\nCall Ada when the queue grows.\n"


def make(template: Path, ref: str, combination: Mapping[str, str], folder: Path) -> Path:
    """Make a project of a release, committed; returns its folder."""
    answers = {"project_name": "myservice", **combination}
    run_copy(str(template), folder, answers, vcs_ref=ref, defaults=True, quiet=True)
    subprocess.run(["git", "init", "--quiet", "-b", "main"], cwd=folder, check=True, env=environment())
    save(folder)
    return folder


def copy(project: Path, folder: Path) -> Path:
    """Copy a project with its history."""
    return Path(shutil.copytree(project, folder, symlinks=True))


def add_a_feature(project: Path) -> None:
    """Work on the project as its owner would: a package, a table, a migration, a dependency, a word in README."""
    for name, content in FEATURE.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(content)
    change(project / "README.md", after=RUNBOOK)
    change(project / "pyproject.toml", "\ndependencies = [\n", f"\ndependencies = [\n{DEPENDENCY}")
    change(
        project / "migrations/env.py", "import app.auth.models\n", "import app.auth.models\nimport app.billing.models\n"
    )


def change(file: Path, old: str = "", new: str = "", *, before: str = "", after: str = "") -> None:
    """Edit a file; the text that is to be replaced has to be there."""
    text = file.read_text()
    assert old in text, f"{file.name} has no {old!r}"
    file.write_text(before + text.replace(old, new, 1) + after if old else before + text + after)


def update(project: Path, *arguments: str, command: str = "update") -> tuple[int, dict[str, Any]]:
    """Run `aiapi update` in the project; returns its exit code and what it says."""
    words = [AIAPI, command, *arguments, "--no-lock", "--json"]
    done = subprocess.run(words, cwd=project, env=environment(), capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def environment() -> dict[str, str]:
    """The environment of a developer without settings of their own."""
    return os.environ | ISOLATION


def files(project: Path) -> dict[str, bytes]:
    """Every file of the project that git would commit, with its content."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=project, check=True, capture_output=True).stdout.decode().split("\0")
    return {name: (project / name).read_bytes() for name in listed if name and (project / name).is_file()}


def rendered(project: Path) -> dict[str, bytes]:
    """Every file of a project that is in no repository."""
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in project.rglob("*") if path.is_file()}
