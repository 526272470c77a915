"""A minimal project that starts quickly, and helpers to run the stack in it and to find leftover processes."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

import devstack
from devstack.leftovers import MARKER

REPOSITORY = Path(devstack.__file__).parents[1]
_USERS_OWN = re.compile(r"^(APP_.*|DATABASE_URL|REDIS_URL|QDRANT_URL|PYTHONDONTWRITEBYTECODE)$")
_PATIENCE_SECONDS = 60
FILES = {
    "main.py": """
import os

def create_app():
    async def app(scope, receive, send):
        if scope["type"] != "http":
            return
        accepted = {"/health/ready": True, "/v1/auth/me": os.path.exists("account")}.get(scope["path"], False)
        await send({"type": "http.response.start", "status": 200 if accepted else 401, "headers": []})
        await send({"type": "http.response.body", "body": b""})
    return app
""",
    "worker.py": """
import os, sys, time

print("worker is at work", flush=True)
while not os.path.exists("worker-fails"):
    time.sleep(0.05)
sys.exit("the worker's last words")
""",
    "cli.py": """
import os, pathlib, sys, time

if sys.argv[1] == "migrate":
    print("migrating", flush=True)
    while os.path.exists("migrate-hangs"):
        time.sleep(0.05)
else:
    accounts = pathlib.Path("account")
    number = int(accounts.read_text()) + 1 if accounts.exists() else 1
    accounts.write_text(str(number))
    print(f"key-{number}")
""",
}


@dataclass
class Project:
    """A project to run the stack in."""

    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *arguments: str, **extra: str) -> subprocess.Popen[str]:
        """Start `python -m devstack` in the project with these arguments and additional environment variables."""
        environment = {name: value for name, value in os.environ.items() if not _USERS_OWN.match(name)}
        environment |= {"PYTHONPATH": os.pathsep.join(["src", str(REPOSITORY)]), **extra}
        process = subprocess.Popen(  # noqa: S603 - our own command
            [sys.executable, "-m", "devstack", *arguments],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def run(self, *arguments: str, **extra: str) -> tuple[int, str]:
        """Run `python -m devstack` in the project and return its exit status and output."""
        process = self.start(*arguments, **extra)
        output, _ = process.communicate(timeout=_PATIENCE_SECONDS)
        return process.returncode, output

    def processes(self) -> list[str]:
        """Return the command lines of this project's processes."""
        return [
            " ".join(process.info["cmdline"]) for process in psutil.process_iter(["cmdline"]) if self._owns(process)
        ]

    def _owns(self, process: psutil.Process) -> bool:
        try:
            facts = [process.cwd(), process.environ().get(MARKER, ""), *process.cmdline()]
        except (psutil.Error, OSError):
            return False
        return process.pid != os.getpid() and any(str(self.folder) in fact for fact in facts)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """Return the output up to the line that contains the text; fail if it never appears."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if text in line:
            return seen
    pytest.fail(f"{text!r} was never printed, but:\n{seen}")


def finish(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """Send the signal and return the exit status and the remaining output."""
    process.send_signal(number)
    output, _ = process.communicate(timeout=_PATIENCE_SECONDS)
    return process.returncode, output


def wait_for(condition: Callable[[], object], failure: str) -> None:
    """Return when the condition holds; fail with the text if it never does."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, failure
        time.sleep(0.05)


def is_running(process: int) -> bool:
    """Return whether the process exists and has not ended; a zombie does not count."""
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
