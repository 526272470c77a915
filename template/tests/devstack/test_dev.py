"""Tests of `poe dev`: it starts the complete service and leaves no process behind."""

import signal
import socket
from pathlib import Path

import pytest

from devstack.state import HOST
from tests.devstack.stand_in import Project, finish, read_until, wait_for

STOPS = "Ctrl-C stops everything"
"""The end of the panel."""
UNUSED = {"DATABASE_URL": "postgresql://localhost/unused", "QDRANT_URL": "http://localhost/unused"}
"""Saves a test the start of servers that the stand-in service never asks."""


def test_the_service_runs_until_ctrl_c_and_a_second_start_is_refused(project: Project, port: str) -> None:
    """The panel shows address and key, logs follow, a second start is an error, Ctrl-C leaves no process."""
    unfinished = project.folder / ".dev" / "postgres" / "data.new"
    unfinished.mkdir(parents=True)
    (unfinished / "half").write_text("what an interrupted first start leaves")
    first = project.start("dev", "--no-reload", "--port", port)
    panel = read_until(first, STOPS)
    assert f"http://{HOST}:{port}/docs" in panel
    key = project.folder / ".dev" / "api-key"
    assert key.read_text() == "key-1"
    assert "export KEY=key-1" in panel
    assert key.stat().st_mode & 0o777 == 0o600

    status, refusal = project.run("dev", "--port", "1")
    assert (status, "running already" in refusal) == (1, True)
    status, joined = project.run("run", "--", "sh", "-c", "echo $APP_JOB_QUEUE__URL")
    assert (status, joined.startswith("redis://")) == (0, True)

    status, _ = finish(first, signal.SIGINT)
    assert status == 0
    assert project.processes() == []


def test_a_killed_run_does_not_prevent_the_next_and_a_lost_account_gets_a_new_key(project: Project, port: str) -> None:
    """After kill -9 the same command works again on the same data, and only its own processes run."""
    first = project.start("dev", "--no-reload", "--port", port)
    read_until(first, STOPS)
    finish(first, signal.SIGKILL)
    (project.folder / "account").unlink()
    status, output = project.run("dev", "--no-reload", "--once", "--port", port)
    assert status == 0, output
    assert (project.folder / ".dev" / "api-key").read_text() == "key-1"
    assert project.processes() == []


def test_a_dead_child_stops_everything_and_is_named(project: Project, port: str) -> None:
    """When the worker dies, its last output is shown and everything else stops."""
    running = project.start("dev", "--no-reload", "--port", port, **UNUSED)
    read_until(running, STOPS)
    (project.folder / "worker-fails").touch()
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 1
    assert "worker stopped (exit status 1)" in output
    assert "the worker's last words" in output
    assert project.processes() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stop_signal_during_the_start_leaves_no_process(project: Project, port: str, number: signal.Signals) -> None:
    """A stop signal before the service is ready ends the start with the usual exit status."""
    (project.folder / "migrate-hangs").touch()
    starting = project.start("dev", "--no-reload", "--port", port, **UNUSED)
    log = project.folder / ".dev" / "logs" / "migrate.log"
    wait_for(lambda: log.exists() and log.read_text(), "the migration never began")
    status, _ = finish(starting, number)
    assert status == 128 + number
    assert project.processes() == []


def test_a_taken_port_is_a_clear_error(project: Project) -> None:
    """The message mentions the option that helps, and nothing is started."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, output = project.run("dev", "--port", str(port))
    assert status == 1
    assert f"Port {port} is taken" in output
    assert f"--port {port + 1}" in output
    assert not (project.folder / ".dev" / "postgres").exists()


def test_outside_a_project_the_user_learns_where_to_run_it(tmp_path: Path) -> None:
    """An empty folder has nothing to run."""
    status, output = Project(tmp_path).run("dev")
    assert status == 1
    assert "src/app" in output
