"""Rendered projects for every test, made once; and the table of combinations at the end of a run."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from pytest_copie.plugin import Copie

from template_repository import RELEASE, combinations, isolate, make_repository, name_of

Render = Callable[[Mapping[str, str]], Path]

pytest_plugins = ["matrix_report"]

isolate()


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
