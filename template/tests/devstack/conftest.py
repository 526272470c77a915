"""Fixtures for the development stack: a project and a free port."""

import shutil
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.state import HOST
from tests.devstack.stand_in import FILES, Project, finish


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Return a new project whose path has spaces."""
    folder = tmp_path / "a project with spaces"
    package = folder / "src" / "app"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name, text in FILES.items():
        (package / name).write_text(text)
    project = Project(folder)
    yield project
    for process in project.started:
        if process.poll() is None:
            finish(process, signal.SIGKILL)
        if process.stdout is not None:
            process.stdout.close()
    shutil.rmtree(folder, ignore_errors=True)  # The database is large.


@pytest.fixture
def port() -> str:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return str(probe.getsockname()[1])
