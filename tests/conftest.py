"""Rendered projects for every test, made once; and the table of combinations at the end of a run."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie

from template_repository import RELEASE, combinations, isolate, make_repository, name_of
from updates.life import make

Render = Callable[[Mapping[str, str]], Path]
Released = Callable[[str, Mapping[str, str]], Path]

pytest_plugins = ["matrix_report", "scheduling"]

isolate()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer what takes longer."""
    parser.addoption("--thorough", action="store_true", help="test every combination wholly")


@pytest.fixture(scope="session")
def template_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A git repository with the template as it is in the working tree, released."""
    return make_repository(tmp_path_factory.mktemp("template") / "aiapi")


@pytest.fixture(scope="session")
def render(template_repository: Path, copie_session: Copie) -> Render:
    """Render the template with these answers; the same answers give the same folder, so do not write into it."""
    rendered: dict[str, Path] = {}

    def render_once(answers: Mapping[str, str]) -> Path:
        key = repr(sorted(answers.items()))
        if key not in rendered:
            given = {"project_name": "myservice", **answers}
            result = copie_session.copy(given, template_dir=template_repository, vcs_ref=RELEASE)
            if result.exception is not None:
                raise result.exception
            assert result.project_dir is not None
            rendered[key] = result.project_dir
        return rendered[key]

    return render_once


@pytest.fixture(scope="session")
def projects(render: Render) -> dict[str, Path]:
    """All combinations, rendered."""
    return {name_of(combination): render(combination) for combination in combinations()}


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
