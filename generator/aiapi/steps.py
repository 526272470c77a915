"""Lock and install the dependencies of a project, and run it in the foreground."""

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
    """The result of one step after rendering; `remedy` is set if it failed."""

    name: str
    ok: bool
    detail: str = ""
    remedy: str = ""


def require_uv() -> None:
    """Raise `ToolError` unless uv is installed."""
    if shutil.which("uv") is None:
        raise ToolError(
            "uv is not installed; it locks the dependencies and runs the project.",
            remedy="Install uv (https://docs.astral.sh/uv), or pass --no-lock to skip the lock for now.",
        )


def require_free(port: int) -> None:
    """Raise `AiapiError` if the port is in use."""
    if not is_free(port):
        raise AiapiError(f"Port {port} is in use.", remedy="Choose another with --port.")


def is_free(port: int) -> bool:
    """Tell whether a service could listen on the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def lock(folder: Path) -> Step:
    """Resolve the project's dependencies into uv.lock."""
    return _uv(folder, "lock", "Fix the cause, run `uv lock` in the project and commit uv.lock.")


def sync(folder: Path) -> Step:
    """Install the project's dependencies into its .venv."""
    return _uv(folder, "sync", "Fix the cause, then run `uv sync` in the project.")


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
    lines = [line.strip() for line in result.stderr.splitlines()]
    reasons = [line.partition(": ")[2] for line in lines if line.startswith(("error: ", "cause: "))]
    reason = ": ".join(reasons[:2]) or (lines or ["no reason given"])[-1]
    return Step(f"uv {verb}", ok=False, detail=reason, remedy=remedy)


def run_service(folder: Path, port: int | None, *, quiet_stdout: bool) -> int:
    """Run `poe dev` in the foreground until it exits, or Ctrl-C or SIGTERM stops it; no process is left.

    Returns:
        0 if the user stopped it, else the exit code of the service.
    """
    words = ["uv", "run", "poe", "dev", *(["--port", str(port)] if port else [])]
    # In a new session, Ctrl-C reaches the service once, from here.
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
    """Stop the service, wait for it, and kill the processes that it left; another Ctrl-C shortens the wait.

    Only the leader gets SIGINT: it passes the signal on, and a process that gets it twice does not shut down cleanly.
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
    """Send a signal to every process of the group; return false if none is left."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _gone(service: subprocess.Popen[bytes]) -> bool:
    """Wait a moment for the leader and its group; return whether all have ended."""
    deadline = time.monotonic() + STRAGGLER_SECONDS
    while time.monotonic() < deadline:
        if service.poll() is not None and not _signal_group(service.pid, 0):
            return True
        time.sleep(0.05)
    return False


def _environment() -> dict[str, str]:
    """Return the environment variables without those of the virtual environment in which aiapi runs."""
    return {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "UV_PROJECT"}}
