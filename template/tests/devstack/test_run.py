"""Tests of `python -m devstack run`: a command gets real servers, and its exit status is passed on."""

import sys

import pytest

from tests.devstack.stand_in import Project

_USE_SERVERS = """
import asyncio, asyncpg, os, socket, sys

async def main():
    database = await asyncpg.connect(os.environ["APP_DATABASE__URL"].replace("+asyncpg", ""))
    await database.execute("CREATE EXTENSION vector")
    assert await database.fetchval("SELECT '[1,2]'::halfvec(2)::text") == "[1,2]"
    await database.close()
    host, port = os.environ["APP_JOB_QUEUE__URL"].removeprefix("redis://").removesuffix("/0").split(":")
    with socket.create_connection((host, int(port))) as queue:
        queue.sendall(b"PING\\r\\n")
        assert queue.recv(9) == b"+PONG\\r\\n"
    sys.exit(7)

asyncio.run(main())
"""
_SHOW = (
    "import os; [print(os.environ[n]) for n in ('APP_DATABASE__URL', 'APP_JOB_QUEUE__URL', 'APP_VECTOR_STORE__URL')]"
)
_GIVEN = {
    "DATABASE_URL": "postgres://me:secret@db.example:5432/mine?sslmode=require",
    "REDIS_URL": "redis://queue.example:6379/3",
    "QDRANT_URL": "http://passages.example:6333",
}


def test_the_command_has_real_servers_and_its_exit_status_is_passed_on(project: Project) -> None:
    """PostgreSQL has pgvector, the queue answers, the exit status is the command's, and nothing keeps running."""
    status, output = project.run("run", "--tests", "--", sys.executable, "-c", _USE_SERVERS)
    assert (status, output) == (7, "")
    assert project.processes() == []


def test_the_data_of_tests_is_thrown_away(project: Project) -> None:
    """A run with --tests leaves no data and removes what a killed run has left."""
    abandoned = project.folder / ".dev" / "tests" / "abandoned"
    abandoned.mkdir(parents=True)
    assert project.run("run", "--tests", "--", "true", **_GIVEN) == (0, "")
    assert list((project.folder / ".dev" / "tests").iterdir()) == []


def test_servers_that_the_user_names_are_used_and_none_is_started(project: Project) -> None:
    """The command gets the URLs in the service's form, and no server has written a log."""
    status, output = project.run("run", "--", sys.executable, "-c", _SHOW, **_GIVEN)
    assert status == 0
    database, queue, passages = output.splitlines()
    assert database == "postgresql+asyncpg://me:secret@db.example:5432/mine?ssl=require"
    assert queue == _GIVEN["REDIS_URL"]
    assert passages in (database, _GIVEN["QDRANT_URL"])
    assert list((project.folder / ".dev" / "logs").iterdir()) == []


def test_an_explicit_setting_of_the_service_wins(project: Project) -> None:
    """APP_ variables are passed on unchanged and take precedence over the general ones."""
    own = {"APP_JOB_QUEUE__URL": "redis://mine.example/0", "APP_FILE_STORE__FOLDER": "/elsewhere"}
    show = "import os; print(os.environ['APP_JOB_QUEUE__URL'], os.environ['APP_FILE_STORE__FOLDER'])"
    status, output = project.run("run", "--", sys.executable, "-c", show, **_GIVEN, **own)
    assert (status, output.strip()) == (0, "redis://mine.example/0 /elsewhere")


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [([], 1, "Nothing to run"), (["--", "no-such-program"], 127, "cannot run no-such-program")],
)
def test_a_command_that_cannot_run_is_a_clear_error(
    project: Project, command: list[str], status: int, message: str
) -> None:
    """The message says what is wrong, without a traceback."""
    given, output = project.run("run", *command, **_GIVEN)
    assert given == status
    assert message in output
    assert "Traceback" not in output
