"""An option changed in a service that has data: the same documents are found."""

from pathlib import Path

import pytest

from conftest import Released
from emitted.knowledge import MANUAL, check_search
from emitted.stack import no_device, running, sync, uv_run
from template_repository import RELEASE, save
from updates.life import copy, update

START = {"vector_store": "pgvector", "task_queue": "celery", "inference": "cpu"}


@pytest.fixture
def project(released: Released, tmp_path: Path) -> Path:
    """A service that may be changed, installed."""
    folder = copy(released(RELEASE, START), tmp_path / "my service")
    sync(folder)
    return folder


def switch(project: Path, answer: str) -> None:
    """Change an answer and install what it brings."""
    save(project)
    assert update(project, answer, "--yes", command="set")[0] == 0
    sync(project)


def test_vectors_move_to_another_store_without_being_made_anew(project: Path) -> None:
    with running(project) as stack:
        stack.wait_until_indexed([stack.upload("kettle.md", MANUAL.encode())])
        uv_run(project, "poe", "app", "vectors", "export", "../vectors.jsonl")
    switch(project, "vector_store=qdrant")
    with running(project) as stack:
        assert stack.request("POST", "/v1/search", json={"query": "kettle"})["items"] == []
        uv_run(project, "poe", "app", "vectors", "import", "../vectors.jsonl")
        check_search(stack)


def test_another_queue_goes_on_where_the_old_one_is_drained(project: Path) -> None:
    with running(project) as stack:
        stack.upload("kettle.md", MANUAL.encode())
        uv_run(project, "poe", "app", "jobs", "drain", "--timeout", "60")
    switch(project, "task_queue=arq")
    with running(project) as stack:
        check_search(stack)
        stack.wait_until_indexed([stack.upload("again.md", MANUAL.encode())])


def test_another_device_finds_the_same_documents(project: Path) -> None:
    with running(project) as stack:
        stack.wait_until_indexed([stack.upload("kettle.md", MANUAL.encode())])
    switch(project, "inference=gpu")
    with running(project, **no_device("gpu")) as stack:
        check_search(stack)
