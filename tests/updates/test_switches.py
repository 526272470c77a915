"""Every option changed to each of its other values and back."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from conftest import Released, Render
from template_repository import ALL_CHOICES, RELEASE, combinations, name_of, options, save
from updates.life import copy, files, rendered, update

# A file varies along one option, so that each switch in two projects that share no choice is enough.
SWITCHES = [
    pytest.param(combination, {**combination, option: value}, id=f"{name_of(combination)}-to-{value}")
    for combination in combinations()
    if name_of(combination) in ALL_CHOICES
    for option, values in options().items()
    for value in values
    if value != combination[option]
]


@pytest.mark.parametrize(("one", "other"), SWITCHES)
def test_a_switch_there_and_back_gives_what_a_new_project_is(
    one: Mapping[str, str], other: Mapping[str, str], released: Released, render: Render, tmp_path: Path
) -> None:
    project = copy(released(RELEASE, one), tmp_path / "myservice")
    for there, expected in ((other, other), (one, one)):
        changed = [f"{option}={value}" for option, value in there.items()]
        code, told = update(project, *changed, "--yes", command="set")
        assert (code, told["from"], told["to"]) == (0, RELEASE, RELEASE)
        assert files(project) == rendered(render(expected))
        save(project)
