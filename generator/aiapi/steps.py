"""What is done with a rendered project: locking its dependencies, and running it in the foreground."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiapi.errors import AiapiError, ToolError

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_PORT = 8000
GRACE_SECONDS = 30
STRAGGLER_SECONDS = 3


@dataclass(frozen=True)
class Step:
    """One step after rendering and how it ended; `remedy` is set when it failed."""

    name: str
    ok: bool
    detail: str = ""
    remedy: str = ""


def require_uv() -> None:
    """Raise `ToolError` unless uv is installed."""
    if shutil.which("uv") is None:
        raise ToolError(
            "uv is not installed, and it locks the dependencies and runs the project.",
            remedy="Install uv (https://docs.astral.sh/uv), or pass --no-lock to do without a lock for now.",
        )


def require_free(port: int) -> None:
    """Raise `AiapiError` when something already listens on the port."""
    if not is_free(port):
        raise AiapiError(f"Port {port} is taken.", remedy="Pass another with --port.")


def is_free(port: int) -> bool:
    """Tell whether a service could listen on the port of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def lock(folder: Path) -> Step:
    """Resolve the project's dependencies into uv.lock."""
    return _uv(folder, "lock", "Run `uv lock` in the project once the cause is gone, and commit uv.lock.")


def sync(folder: Path) -> Step:
    """Install the project's dependencies into its .venv."""
    return _uv(folder, "sync", "Run `uv sync` in the project once the cause is gone.")


def _uv(folder: Path, verb: str, remedy: str) -> Step:
    result = subprocess.run(  # noqa: S603 - arguments are ours, no shell
        ["uv", verb, "--no-progress"],  # noqa: S607 - the user's own uv
        cwd=folder,
        env=_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode == 0:
        return Step(f"uv {verb}", ok=True)
    told = [line.strip() for line in result.stderr.splitlines()]
    reasons = [line.partition(": ")[2] for line in told if line.startswith(("error: ", "cause: "))]
    reason = ": ".join(reasons[:2]) or (told or ["no reason given"])[-1]
    return Step(f"uv {verb}", ok=False, detail=reason, remedy=remedy)


def run_service(folder: Path, port: int | None, *, quiet_stdout: bool) -> int:
    """Run `poe dev` in the foreground until it ends or Ctrl-C or SIGTERM stops it; no process is left.

    Returns:
        0 when it was stopped by the user, else the service's own exit code.
    """
    words = ["uv", "run", "poe", "dev", *(["--port", str(port)] if port else [])]
    # A session of its own: a Ctrl-C then reaches the service once, from here.
    service = subprocess.Popen(  # noqa: S603 - arguments are ours, no shell
        words, cwd=folder, env=_environment(), start_new_session=True, stdout=2 if quiet_stdout else None
    )
    try:
        code = service.wait()
    except KeyboardInterrupt:
        code = 0
    finally:
        _end(service)
    return code


def _end(service: subprocess.Popen[bytes]) -> None:
    """Ask the service to end, wait until it has, and clear away whoever it left; another Ctrl-C shortens the wait.

    Only the leader is asked: it passes the signal on, and whoever got it twice would give up its clean end.
    """
    with suppress(KeyboardInterrupt, subprocess.TimeoutExpired):
        service.send_signal(signal.SIGINT)
        service.wait(GRACE_SECONDS)
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(KeyboardInterrupt):
            if _gone(service) or not _signal_group(service.pid, number):
                return
    _gone(service)


def _signal_group(group: int, number: int) -> bool:
    """Send a signal to every process of the group; false when there is none left."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _gone(service: subprocess.Popen[bytes]) -> bool:
    """Wait a moment until the leader and everyone in its group have ended."""
    deadline = time.monotonic() + STRAGGLER_SECONDS
    while time.monotonic() < deadline:
        if service.poll() is not None and not _signal_group(service.pid, 0):
            return True
        time.sleep(0.05)
    return False


def _environment() -> dict[str, str]:
    """Return the environment without the marks of the one that aiapi itself runs in."""
    return {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "UV_PROJECT"}}
