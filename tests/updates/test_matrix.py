"""Every released version, in every combination, with every kind of edit, brought to the newest."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from conftest import Released, Render
from template_repository import ALL_CHOICES, RELEASE, combinations, name_of, options, releases, save
from updates.conftest import BINARY, CHANGED, DELETED, NEXT, RENAMED
from updates.life import DEPENDENCY, FEATURE, RUNBOOK, add_a_feature, change, copy, files, rendered, update

MINE = "# Mine, and to be kept.\n"

Start = Callable[[str], Path]
STARTS = [
    pytest.param(f"v{version}", combination, id=f"{version}-{name_of(combination)}")
    for version in releases()
    for combination in combinations()
]
every_start = pytest.mark.parametrize(("version", "combination"), STARTS)
# A file varies along one option, so that each option there and back is enough.
each_way = pytest.mark.parametrize(
    ("version", "combination"), [each for each in STARTS if str(each.id).partition("-")[2] in ALL_CHOICES]
)


@pytest.fixture
def project(version: str, combination: Mapping[str, str], released: Released, tmp_path: Path) -> Path:
    """A project of the version, which the test may change."""
    return copy(released(version, combination), tmp_path / "myservice")


def follow(project: Path, repository: Path) -> None:
    """Record another repository as the project's source."""
    answers = project / ".copier-answers.yml"
    line = next(line for line in answers.read_text().splitlines() if line.startswith("_src_path:"))
    change(answers, line, f"_src_path: {repository}")


@every_start
def test_an_untouched_project_becomes_what_a_new_one_is(
    project: Path, combination: Mapping[str, str], render: Render
) -> None:
    assert update(project)[0] == 0
    assert files(project) == rendered(render(combination))


@every_start
def test_work_elsewhere_is_kept_and_the_rest_is_new(
    project: Path, combination: Mapping[str, str], render: Render
) -> None:
    add_a_feature(project)
    save(project)
    code, told = update(project)
    assert (code, told["unresolved"]) == (0, [])
    assert told["to"] == RELEASE
    now, fresh = files(project), rendered(render(combination))
    assert {name: now.pop(name).decode() for name in FEATURE} == FEATURE
    edited = {"README.md", "pyproject.toml", "migrations/env.py"}
    assert {name for name in now | fresh if now.get(name) != fresh.get(name)} == edited
    assert now["README.md"].decode().endswith(RUNBOOK)
    assert now["pyproject.toml"].decode().count(DEPENDENCY) == 1
    assert b"\nimport app.billing.models\n" in now["migrations/env.py"]


@every_start
def test_edits_of_what_the_release_changes_deletes_or_renames_are_kept(project: Path, next_release: Path) -> None:
    follow(project, next_release)
    for name in (CHANGED, DELETED):
        change(project / name, before=MINE)
    change(project / RENAMED[0], before=MINE)
    mine = (project / BINARY).read_bytes() + b"\0mine"
    (project / BINARY).write_bytes(mine)
    edited = (project / DELETED).read_bytes()
    save(project)
    code, told = update(project)
    assert (code, told["to"]) == (1, NEXT)
    kinds = {each["path"]: (each["kind"], each["kept_in"]) for each in told["changes"]}
    assert kinds[CHANGED] == ("conflict", None)
    assert kinds[DELETED] == ("deleted with your edits", f"{DELETED}.yours")
    assert kinds[RENAMED[0]] == ("renamed with your edits", RENAMED[1])
    assert kinds[BINARY] == ("binary with your edits", f"{BINARY}.yours")
    now = files(project)
    assert now[CHANGED].decode().count(MINE) == 1
    assert now[f"{DELETED}.yours"] == edited
    assert now[f"{BINARY}.yours"] == mine
    assert now[RENAMED[1]].decode().startswith(MINE)
    assert now[RENAMED[1]].decode().endswith("\n# A line of the next release.\n")
    assert {CHANGED, f"{DELETED}.yours", f"{BINARY}.yours"} <= set(told["unresolved"])
    assert DELETED not in now
    assert RENAMED[0] not in now


@each_way
@pytest.mark.parametrize("option", options())
def test_edits_of_what_an_option_swaps_are_kept(project: Path, combination: Mapping[str, str], option: str) -> None:
    other = next(value for value in options()[option] if value != combination[option])
    overlay = {"vector_store": "vector_store", "task_queue": "job_queue", "inference": "model_session"}[option]
    name = f"src/app/adapters/{overlay}.py"
    change(project / name, before=MINE)
    save(project)
    _, told = update(project, "--set", f"{option}={other}", "--yes")
    kinds = {each["path"]: each["kind"] for each in told["changes"]}
    assert kinds[name] in {"merged", "conflict"}
    assert (project / name).read_text().count(MINE) == 1
    assert told["answers"][option] == other
