"""A release to come that gives files up."""

from pathlib import Path

import pytest

from template_repository import save
from updates.life import change, copy

NEXT = "v1000.0.0"
DELETED = "src/app/body_limit.py"
RENAMED = ("src/app/adapters/file_store.py", "src/app/adapters/folder_store.py")
CHANGED = "src/app/errors.py"
BINARY = "models/embedding/model.onnx"


@pytest.fixture(scope="session")
def next_release(template_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the template's repository with one more release, which deletes, renames and changes files."""
    repository = copy(template_repository, tmp_path_factory.mktemp("next") / "aiapi")
    template = repository / "template"
    (template / DELETED).unlink()
    (template / RENAMED[0]).rename(template / RENAMED[1])
    change(template / RENAMED[1], after="\n# A line of the next release.\n")
    change(template / CHANGED, before="# The next release has a first line here.\n")
    (template / BINARY).write_bytes((template / BINARY).read_bytes() + b"\0next")
    save(repository, NEXT)
    return repository
