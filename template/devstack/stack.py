"""All servers of the service: starts them, and returns their settings as environment variables."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from devstack import postgres, valkey, vector_store
from devstack.processes import Processes
from devstack.state import lasting_secret, write_secret

_RUNNING = "running.json"


def start(processes: Processes, *, durable: bool) -> dict[str, str]:
    """Start the servers, wait until they answer, and return the environment for the service.

    Args:
        processes: Starts the servers; their data are in its folder.
        durable: Whether data must survive a crash; tests are faster without.

    Returns:
        This process's environment with the service's settings; what the user set explicitly takes precedence.

    Raises:
        DevstackError: A server is missing or does not start.
        StopRequested: A stop signal has arrived.
    """
    passages = vector_store.start(processes, durable=durable)
    queue = valkey.start(processes, durable=durable)
    database = postgres.start(processes, durable=durable)
    for server in (database, queue, passages):
        if server is not None:
            processes.wait_until(server.name, server.ready)
    settings = {
        "APP_FILE_STORE__FOLDER": str(processes.folder / "files"),
        "APP_AUTH__JWT_SECRET": lasting_secret(processes.folder / "jwt-secret"),
        **_shared_memory(queue.url),
    } | {name: value for name, value in os.environ.items() if name.startswith("APP_")}
    settings |= {
        "APP_DATABASE__URL": database.url,
        "APP_VECTOR_STORE__URL": database.url if passages is None else passages.url,
        "APP_JOB_QUEUE__URL": queue.url,
    }
    return dict(os.environ) | settings


def _shared_memory(queue_url: str) -> dict[str, str]:
    """Use the queue's server for shared state as well, if it is Redis or Valkey."""
    return {"APP_VALKEY__URL": queue_url} if queue_url.startswith(("redis://", "rediss://")) else {}


def publish(folder: Path, environment: Mapping[str, str]) -> None:
    """Store the settings of the running servers, for other commands of this project."""
    added = {name: value for name, value in environment.items() if name.startswith("APP_")}
    write_secret(folder / _RUNNING, json.dumps(added))


def withdraw(folder: Path) -> None:
    """Delete the settings that `publish` stored."""
    (folder / _RUNNING).unlink(missing_ok=True)


def join(folder: Path) -> dict[str, str] | None:
    """Return the environment for servers that another command has started; None if they are not ready."""
    try:
        added: dict[str, str] = json.loads((folder / _RUNNING).read_text())
    except FileNotFoundError:
        return None
    return dict(os.environ) | added
