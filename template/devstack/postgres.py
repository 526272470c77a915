"""A PostgreSQL server with pgvector on loopback, or the one that the user has configured."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psutil

from devstack.errors import DevstackError
from devstack.postgres_programs import acceptable_identity, find_programs, major_version, user_of
from devstack.processes import Processes
from devstack.servers import Server, given_url
from devstack.state import HOST, lasting_port, write_secret

_USER = "app"
_DATABASE = "app"
_CREATE_DATABASE = f'echo "CREATE DATABASE {_DATABASE}" | "$0" --single -F -D "$1" postgres'
_FIRST_WITH_BUILTIN_LOCALES = 17
_NOT_DURABLE = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]


def start(processes: Processes, *, durable: bool) -> Server:
    """Start a server, unless APP_DATABASE__URL or DATABASE_URL is set; with `durable`, data survive a power cut.

    The first start creates the database atomically.

    Raises:
        DevstackError: There is no PostgreSQL with pgvector, or it does not start.
    """
    url = given_url("APP_DATABASE__URL", "DATABASE_URL")
    if url is not None:
        return Server("PostgreSQL", asyncpg_url(url))
    home = processes.folder / "postgres"
    data = home / "data"
    programs = find_programs(data)
    home.mkdir(mode=0o711, exist_ok=True)
    identity = acceptable_identity(programs, home)
    if not data.exists():
        _create(processes, programs, identity, home)
    _forget_dead_server(data)
    port = lasting_port(processes.folder, "postgres")
    # No Unix socket: its path could exceed the system's limit.
    listen = ["-h", HOST, "-p", str(port), "-k", ""]
    processes.start(
        "postgres",
        [programs / "postgres", "-D", data, *listen, *([] if durable else _NOT_DURABLE)],
        identity=identity,
        stop_signal=signal.SIGINT,
    )
    password = (home / "password").read_text()
    return Server(
        "PostgreSQL",
        f"postgresql+asyncpg://{_USER}:{password}@{HOST}:{port}/{_DATABASE}",
        lambda: _answers(programs, port),
    )


def asyncpg_url(url: str) -> str:
    """Convert any PostgreSQL URL to one for SQLAlchemy's asyncpg driver.

    Raises:
        DevstackError: It is not a PostgreSQL URL.
    """
    parts = urlsplit(url)
    if parts.scheme.partition("+")[0] not in ("postgres", "postgresql"):
        raise DevstackError(f"DATABASE_URL must begin with postgresql://, not {parts.scheme or 'nothing'}://.")
    # asyncpg has another name for libpq's `sslmode`, and no `channel_binding`.
    query = [
        ("ssl" if name == "sslmode" else name, value)
        for name, value in parse_qsl(parts.query)
        if name != "channel_binding"
    ]
    return urlunsplit(parts._replace(scheme="postgresql+asyncpg", query=urlencode(query)))


def _create(processes: Processes, programs: Path, identity: Sequence[str], home: Path) -> None:
    """Create the database cluster in a temporary folder, and rename that when it is complete."""
    unfinished = home / "data.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    password = secrets.token_urlsafe(24)
    write_secret(home / "password", password)
    handed_over = home / "password.once"
    write_secret(handed_over, password)
    owner = user_of(identity)
    if owner is not None:
        os.chown(handed_over, owner, owner)
    _initialise(processes, programs, identity, unfinished, handed_over)
    handed_over.unlink()
    processes.complete(
        "createdb",
        ["/bin/sh", "-c", _CREATE_DATABASE, programs / "postgres", unfinished],
        identity=identity,
    )
    unfinished.rename(home / "data")


def _initialise(processes: Processes, programs: Path, identity: Sequence[str], data: Path, password_file: Path) -> None:
    """Run initdb with the first locale that this PostgreSQL and this machine support."""
    locales = [["--locale=C.UTF-8"], ["--locale=C"]]
    if major_version(programs) >= _FIRST_WITH_BUILTIN_LOCALES:
        locales = [["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]]
    command: list[str | Path] = [
        programs / "initdb",
        "-D",
        data,
        "-U",
        _USER,
        "-E",
        "UTF8",
        "--auth=scram-sha-256",
        "--no-sync",
    ]
    for attempt, locale in enumerate(locales, start=1):
        try:
            processes.complete("initdb", [*command, f"--pwfile={password_file}", *locale], identity=identity)
        except DevstackError:
            shutil.rmtree(data, ignore_errors=True)
            if attempt == len(locales):
                raise
        else:
            return


def _forget_dead_server(data: Path) -> None:
    """Stop a server that an earlier run left behind, and remove its lock file.

    PostgreSQL would refuse to start if another process now had the process id in the file.
    """
    lock = data / "postmaster.pid"
    try:
        server = psutil.Process(int(lock.read_text().split()[0]))
        ours = server.name().startswith("postgres") and str(data) in server.cmdline()
    except (OSError, ValueError, IndexError, psutil.Error):
        ours = False
    if ours:
        server.send_signal(signal.SIGINT)
        try:
            server.wait(timeout=20)
        except psutil.TimeoutExpired:
            raise DevstackError(f"An earlier PostgreSQL does not stop. End it with: kill -QUIT {server.pid}") from None
    lock.unlink(missing_ok=True)


def _answers(programs: Path, port: int) -> bool:
    question: list[str | Path] = [programs / "pg_isready", "-q", "-h", HOST, "-p", str(port)]
    return subprocess.run(question, check=False, timeout=20).returncode == 0  # noqa: S603 - PostgreSQL's own program
