"""Released projects that tests may copy, and a release to come that gives files up."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from template_repository import name_of, save
from updates.life import change, copy, make

Released = Callable[[str, Mapping[str, str]], Path]

NEXT = "v1000.0.0"
DELETED = "src/app/body_limit.py"
RENAMED = ("docs/operations.md", "docs/operating.md")
CHANGED = "src/app/errors.py"
BINARY = "models/embedding/model.onnx"


@pytest.fixture(scope="session")
def released(template_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Released:
    """Make a project of a release, once for each combination; the same folder every time, so copy it."""
    made: dict[str, Path] = {}

    def make_once(version: str, combination: Mapping[str, str]) -> Path:
        key = f"{version}-{name_of(combination)}"
        if key not in made:
            made[key] = make(template_repository, version, combination, tmp_path_factory.mktemp(key) / "myservice")
        return made[key]

    return make_once


@pytest.fixture(scope="session")
def next_release(template_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the template's repository with one more release, which deletes, renames and changes files."""
    repository = copy(template_repository, tmp_path_factory.mktemp("next") / "aiapi")
    template = repository / "template"
    (template / DELETED).unlink()
    (template / RENAMED[0]).rename(template / RENAMED[1])
    change(template / RENAMED[1], after="\nA paragraph of the next release.\n")
    change(template / CHANGED, before="# The next release has a first line here.\n")
    (template / BINARY).write_bytes((template / BINARY).read_bytes() + b"\0next")
    save(repository, NEXT)
    return repository
