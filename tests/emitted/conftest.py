"""Installed projects: one for each combination, in its own environment."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Render
from emitted.stack import sync
from template_repository import ALL_CHOICES, combinations, name_of

Install = Callable[[str], Path]


@pytest.fixture(scope="session")
def install(render: Render, tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Copy a rendered project to a folder of its own and install it; once for each combination."""
    installed: dict[str, Path] = {}
    answers = {name_of(combination): combination for combination in combinations()}

    def install_once(name: str) -> Path:
        if name not in installed:
            # A space in the path, because users have them.
            folder = tmp_path_factory.mktemp(name) / "my service"
            shutil.copytree(render(answers[name]), folder)
            sync(folder)
            installed[name] = folder
        return installed[name]

    return install_once


@pytest.fixture(scope="session")
def types_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where mypy remembers files, so that those which are the same in the next project are not judged again."""
    return tmp_path_factory.mktemp("mypy")


@pytest.fixture
def combination(request: pytest.FixtureRequest) -> str:
    """The name of the combination that the test is about."""
    name: str = request.param
    return name


@pytest.fixture
def wholly(combination: str, pytestconfig: pytest.Config) -> bool:
    """Whether all is tested, or only what the choice of another option could change."""
    return combination in ALL_CHOICES or bool(pytestconfig.getoption("thorough"))


@pytest.fixture
def project(combination: str, install: Install) -> Path:
    """Its installed project."""
    return install(combination)


# For what takes long and hangs on no combination: every one is judged, tested, migrated and booted all the same.
where_every_two_choices_meet = pytest.mark.where_every_two_choices_meet
# For what takes long and hardly hangs on any choice.
where_every_choice_is_made = pytest.mark.where_every_choice_is_made


def each_combination(what: str, only: str = "") -> pytest.MarkDecorator:
    """Run a test for every combination, or `only` for one or for those with a choice."""
    names = [name for name in map(name_of, combinations()) if only in {"", name, *name.split("-")}]
    parameters = [pytest.param(name, marks=pytest.mark.combination(name, what), id=name) for name in names]
    return pytest.mark.parametrize("combination", parameters, indirect=True)
