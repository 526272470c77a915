"""`aiapi new --run`: the service runs in the foreground until it is stopped, and then nothing runs."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from cli.command import PATIENCE, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.command import Command

# Stands in for the service: it takes its time to end, and forgets a child.
SERVICE = """
import os, signal, subprocess, sys, time
if "child" not in sys.argv:
    child = subprocess.Popen([sys.executable, __file__, "child"])
signal.signal(signal.SIGINT, lambda *_: (time.sleep(0.3), os._exit(0)))
with open(os.environ["PIDS"], "a") as file:
    file.write(f"{os.getpid()} {' '.join(sys.argv[1:])}\\n")
while True:
    time.sleep(1)
"""


@pytest.fixture
def running(tmp_path: Path, stand_in: Callable[[str, str], str]) -> dict[str, str]:
    """Let `uv run` start the stand-in service; returns the environment that does."""
    service = tmp_path / "service.py"
    service.write_text(SERVICE)
    script = f'case "$1" in run) exec "{sys.executable}" "{service}" "$@";; sync) exit 0;; *) exec "$REAL" "$@";; esac'
    return {"PATH": stand_in("uv", script), "PIDS": str(tmp_path / "pids")}


def alive(process: int) -> bool:
    """Tell whether a process still runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    with suppress(OSError), open(f"/proc/{process}/stat") as file:  # noqa: PTH123
        return file.read().rpartition(")")[2].split()[0] != "Z"
    return True


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_everything_and_the_project_stays(
    aiapi: Command, running: dict[str, str], tmp_path: Path, by: signal.Signals
) -> None:
    process = aiapi.start("new", "demo", "--defaults", "--run", "--port", "8765", **running)
    pids = tmp_path / "pids"
    try:
        wait_for(lambda: pids.exists() and len(pids.read_text().splitlines()) == 2)
        process.send_signal(by)
        stdout, stderr = process.communicate(timeout=PATIENCE)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    assert process.returncode == 0, stderr
    lines = [line.split() for line in pids.read_text().splitlines()]
    assert ["run", "poe", "dev", "--port", "8765"] in [line[1:] for line in lines]
    assert "http://127.0.0.1:8765/docs" in stdout
    assert not any(alive(int(line[0])) for line in lines)
    assert (aiapi.folder / "demo/.git").is_dir()


def test_a_port_that_is_taken_is_refused_before_anything_is_written(aiapi: Command, running: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = aiapi("new", "demo", "--defaults", "--run", "--port", port, **running)
    assert result.returncode == 1
    assert f"Port {port} is in use." in result.stderr
    assert aiapi.leftovers() == []


def test_an_installation_that_fails_is_said_plainly(aiapi: Command, stand_in: Callable[[str, str], str]) -> None:
    path = stand_in("uv", '[ "$1" = sync ] && echo "error: no room" >&2 && exit 2; exec "$REAL" "$@"')
    result = aiapi("new", "demo", "--defaults", "--run", PATH=path)
    assert result.returncode == 1
    assert "uv sync failed: no room" in result.stderr
    assert "The project was created. Still to do: Fix the cause, then run `uv sync`" in result.stderr


def test_a_service_that_dies_passes_on_its_exit_code(aiapi: Command, stand_in: Callable[[str, str], str]) -> None:
    path = stand_in("uv", 'case "$1" in run) echo ready; exit 7;; sync) exit 0;; esac; exec "$REAL" "$@"')
    result = aiapi("new", "demo", "--defaults", "--run", "--json", PATH=path)
    assert result.returncode == 1
    assert json.loads(result.stdout)["ok"] is True
    assert "exited by itself with exit code 7" in result.stderr


def test_an_interrupt_while_installing_keeps_the_finished_project(
    aiapi: Command, stand_in: Callable[[str, str], str], tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    path = stand_in("uv", f'[ "$1" = sync ] && touch {mark} && exec sleep 300; exec "$REAL" "$@"')
    process = aiapi.start("new", "demo", "--defaults", "--run", "--port", "8766", PATH=path)
    try:
        wait_for(mark.exists)
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert stderr.splitlines()[-1] == "Interrupted after the project was created."
    assert aiapi.leftovers() == ["demo"]
