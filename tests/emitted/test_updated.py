"""A project of the first release with its owner's work in it, after the update: still a service."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import Released
from emitted.conftest import each_combination, where_every_two_choices_meet
from emitted.knowledge import MANUAL, check_search
from emitted.stack import no_device, run_own_tests, running, sync, uv_run
from template_repository import RELEASE, combinations, name_of, releases, save
from updates.life import add_a_feature, copy, update

# Tests that look at all there is, the owner's work included.
WHOLE = [f"tests/test_{name}.py" for name in ("migrations", "openapi", "settings", "structure")]
FIRST = f"v{next(iter(releases()))}"

Updated = Callable[[str], Path]


@pytest.fixture(scope="session")
def update_once(released: Released, tmp_path_factory: pytest.TempPathFactory) -> Updated:
    """Make a project of the first release, work on it, update and install it; once for each combination."""
    updated: dict[str, Path] = {}

    def work_and_update(name: str) -> Path:
        if name not in updated:
            combination = next(each for each in combinations() if name_of(each) == name)
            project = copy(released(FIRST, combination), tmp_path_factory.mktemp(name) / "my service")
            add_a_feature(project)
            save(project)
            code, told = update(project)
            assert (code, told["to"]) == (0, RELEASE), told
            sync(project)
            if len(told["alembic_heads"]) > 1:  # what the command tells its user to do
                uv_run(project, "alembic", "merge", "heads", "-m", "merge the template's migrations")
            updated[name] = project
        return updated[name]

    return work_and_update


@pytest.fixture
def updated(combination: str, update_once: Updated) -> Path:
    """The updated project."""
    return update_once(combination)


@where_every_two_choices_meet
@each_combination("updated: tests")
def test_its_owners_tests_and_those_of_the_whole_service_pass(updated: Path) -> None:
    # All other files are those of the release, as the matrix of updates holds, and were tested in it.
    run_own_tests(updated, "tests/billing", *WHOLE)


@where_every_two_choices_meet
@each_combination("updated: boot")
def test_it_boots_with_its_owners_table_and_finds_documents(updated: Path, combination: str) -> None:
    with running(updated, **no_device(combination)) as stack:
        stack.wait_until_indexed([stack.upload("kettle.md", MANUAL.encode())])
        check_search(stack)
        uv_run(updated, "poe", "app", "jobs", "drain", "--timeout", "30")


@pytest.mark.parametrize("vector_store", ["pgvector", "qdrant"])
def test_documents_of_the_first_release_are_found_after_the_update(
    vector_store: str, released: Released, tmp_path: Path
) -> None:
    combination = {"vector_store": vector_store, "task_queue": "arq", "inference": "cpu"}
    project = copy(released(FIRST, combination), tmp_path / "my service")
    sync(project)
    with running(project) as stack:
        stack.wait_until_indexed([stack.upload("kettle.md", MANUAL.encode())])
    save(project)
    assert update(project)[0] == 0
    sync(project)
    with running(project) as stack:
        check_search(stack)
