"""The `dev` command: servers, migrations, worker and API on this machine, until Ctrl-C."""

import http.client
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from devstack import panel, stack
from devstack.errors import DevstackError, StopRequested
from devstack.processes import Child, Processes
from devstack.servers import http_answers
from devstack.state import HOST, locked, require_free, write_secret

_FOLLOW_SECONDS = 0.1
_START_SECONDS = 180.0
_QUIET_SECONDS = 20.0
_REFUSED = (http.client.UNAUTHORIZED, http.client.FORBIDDEN)


def serve(root: Path, *, port: int, reload: bool, once: bool) -> None:
    """Run the service of the project in `root` until a child dies or the user stops it; `once` stops when ready.

    Raises:
        DevstackError: Something does not start, or a process died.
        StopRequested: The user stopped it before the service was ready.
    """
    folder = root / ".dev"
    console = Console(highlight=False)
    with locked(folder), Processes(folder) as processes:
        stack.withdraw(folder)
        require_free(port)
        with console.status("Starting the servers"):
            environment = {"APP_SERVICE__NAME": _service_name(root)} | stack.start(processes, durable=True)
        with console.status("Bringing the database up to date"):
            processes.complete("migrate", [sys.executable, "-m", "app.cli", "migrate"], environment=environment)
        stack.publish(folder, environment)
        try:
            _serve_api(processes, console, environment, port=port, reload=reload, once=once)
        finally:
            stack.withdraw(folder)


def _service_name(root: Path) -> str:
    """Return the project's name in pyproject.toml, or else the name of its folder."""
    try:
        name: str = tomllib.loads((root / "pyproject.toml").read_text())["project"]["name"]
    except (OSError, KeyError):
        return root.name
    return name


def _serve_api(  # noqa: PLR0913 - options of the command
    processes: Processes, console: Console, environment: Mapping[str, str], *, port: int, reload: bool, once: bool
) -> None:
    """Start worker and API; once they are ready, show the panel and then their logs."""
    api, worker = _start_service(processes, environment, port=port, reload=reload)
    logs = panel.LogFollower(console, [api, worker])
    with console.status("Starting the service"):
        key = _existing_key(processes.folder) or _new_key(processes, environment)
        _wait_for_service(processes, logs, api, port)
        if _is_refused(key, port):
            key = _new_key(processes, environment)
    logs.skip()
    panel.show_ready(console, f"http://{HOST}:{port}", key, processes.folder)
    if once:
        return
    try:
        while True:
            logs.print_new()
            processes.check()
            time.sleep(_FOLLOW_SECONDS)
    except StopRequested:
        console.print("\nStopping …")


def _start_service(
    processes: Processes, environment: Mapping[str, str], *, port: int, reload: bool
) -> tuple[Child, Child]:
    """Start the worker and the API."""
    unbuffered = {"APP_LOGGING__FORMAT": "console", **environment, "PYTHONUNBUFFERED": "1"}
    worker = processes.start("worker", [sys.executable, "-m", "app.worker"], environment=unbuffered)
    uvicorn = [sys.executable, "-m", "uvicorn", "--factory", "app.main:create_app", "--host", HOST, "--port", str(port)]
    options = ["--timeout-graceful-shutdown", "3", "--ws-per-message-deflate", "false"]
    options += ["--reload", "--reload-dir", "src"] if reload else []
    return processes.start("api", [*uvicorn, *options], environment=unbuffered), worker


def _wait_for_service(processes: Processes, logs: panel.LogFollower, api: Child, port: int) -> None:
    """Wait until the service is ready; show the logs if that takes long or they contain a traceback.

    With reload, uvicorn survives a service that cannot start and waits for changes of the source: the user can then
    fix the error, and the service becomes ready.
    """
    patience = time.monotonic() + _QUIET_SECONDS

    def ready() -> bool:
        if time.monotonic() > patience or "Traceback (most recent" in api.log.read_text(errors="replace"):
            logs.print_new()
        return http_answers(port, "/health/ready")

    processes.wait_until("The service", ready, timeout_seconds=_START_SECONDS, poll_seconds=_FOLLOW_SECONDS)


def _existing_key(folder: Path) -> str | None:
    path = folder / "api-key"
    return path.read_text().strip() if path.exists() else None


def _new_key(processes: Processes, environment: Mapping[str, str]) -> str:
    """Create an API key for the development account and store it in the state folder."""
    account = ["--email", "dev@localhost.dev", "--name", "dev", "--role", "operator"]
    command = [sys.executable, "-m", "app.cli", "create-key", *account]
    key = processes.complete("create-key", command, environment=environment, capture=True).strip()
    if not key:
        raise DevstackError("create-key printed no key.")
    write_secret(processes.folder / "api-key", key)
    return key


def _is_refused(key: str, port: int) -> bool:
    """Return whether the service rejects the key, for example because its database is a new one."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request("GET", "/v1/auth/me", headers={"Authorization": f"Bearer {key}"})
        return connection.getresponse().status in _REFUSED
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
