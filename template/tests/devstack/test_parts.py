"""Tests of the stack's parts."""

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from devstack.errors import DevstackError
from devstack.panel import LogFollower
from devstack.postgres import asyncpg_url
from devstack.processes import Processes, clean_environment
from devstack.state import lasting_port, lasting_secret, write_secret
from tests.devstack.stand_in import is_running, wait_for


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg", "postgresql+psycopg"])
def test_any_postgres_url_becomes_one_for_asyncpg(scheme: str) -> None:
    """The driver is set, libpq's options are translated, and everything else stays."""
    url = asyncpg_url(f"{scheme}://u:p%40ss@host:1/db?sslmode=require&channel_binding=require&application_name=x")
    assert url == "postgresql+asyncpg://u:p%40ss@host:1/db?ssl=require&application_name=x"


def test_a_url_of_another_database_is_refused() -> None:
    """The message says what a URL must start with."""
    with pytest.raises(DevstackError, match="must begin with postgresql://, not mysql://"):
        asyncpg_url("mysql://host/db")


def test_a_secret_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """The second call returns the same secret."""
    path = tmp_path / "secret"
    assert lasting_secret(path) == lasting_secret(path)
    assert len(path.read_text()) >= 32
    write_secret(path, "another")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("another", 0o600)


def test_a_server_keeps_its_port(tmp_path: Path) -> None:
    """Clients configured by hand still find the server after a restart."""
    assert lasting_port(tmp_path, "postgres") == lasting_port(tmp_path, "postgres")


def test_children_compile_their_imports() -> None:
    """The setting that disables bytecode caching, and so slows every start, is not inherited."""
    assert clean_environment({"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/"}) == {"HOME": "/"}


def test_only_whole_lines_of_a_log_are_shown_behind_the_name(tmp_path: Path) -> None:
    """An incomplete line appears once, when it is complete."""
    output = io.StringIO()
    with Processes(tmp_path) as processes:
        child = processes.start("api", ["sleep", "60"])
        follower = LogFollower(Console(file=output, width=20), [child])
        with child.log.open("a") as log:
            log.write("first line that is longer than the terminal\nsec")
            log.flush()
            follower.print_new()
            assert output.getvalue() == "api │ first line that is longer than the terminal\n"
            log.write("ond\n")
        follower.print_new()
    assert output.getvalue().endswith("\napi │ second\n")


def test_a_failed_command_shows_the_end_of_its_log(tmp_path: Path) -> None:
    """The message contains the reason."""
    with Processes(tmp_path) as processes, pytest.raises(DevstackError, match=r"(?s)exit status 3.*the reason"):
        processes.complete("migrate", [sys.executable, "-c", "import sys; print('the reason'); sys.exit(3)"])


def test_grandchildren_are_stopped_too(tmp_path: Path) -> None:
    """Stopping a child also stops the processes that it has started."""
    with Processes(tmp_path) as processes:
        child = processes.start("parent", ["sh", "-c", "sleep 60 & echo $!; wait"])
        processes.wait_until("its child", lambda: child.log.read_text().endswith("\n"))
        grandchild = int(child.log.read_text())
    wait_for(lambda: not is_running(grandchild), "the grandchild still runs")
