"""Starting the servers of the batching benchmark, each in processes of its own, and ending them to the last one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "template" / "src"
# An environment may have to be made first.
START_SECONDS = 240.0
END_SECONDS = 30.0
# The load stands for other machines: servers shall not keep it from sending and reading.
GIVING_WAY = ["nice", "-n", "5"]


class NotStartedError(Exception):
    """A server did not come up; says why."""


@dataclass
class Server:
    """A server that runs, perhaps in several processes."""

    port: int
    process: subprocess.Popen[bytes]

    def memory(self) -> int:
        """Return the bytes that its processes hold, what they share counted once."""
        main = psutil.Process(self.process.pid)
        return sum(each.memory_full_info().pss for each in [main, *main.children(recursive=True)])

    def resident(self) -> int:
        """Return the bytes that its one process holds: read without stopping it, unlike those of `memory`."""
        return psutil.Process(self.process.pid).memory_info().rss

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop it while the block runs: some servers turn in circles when they have nothing to do."""
        os.killpg(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self.process.pid, signal.SIGCONT)


@contextmanager
def serving(command: Sequence[str], log: Path | None = None) -> Iterator[Server]:
    """Run a command, with the port behind it, until the block ends.

    Raises:
        NotStartedError: nothing listens.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{HERE}", "PYTHONUNBUFFERED": "1"}
    with (log or Path(os.devnull)).open("wb") as out:
        process = subprocess.Popen(
            [*GIVING_WAY, *command, str(port)],
            stdout=out,
            stderr=out,
            env=environment,
            cwd=HERE,
            start_new_session=True,
        )
    try:
        _wait_until_it_listens(process, port, log)
        yield Server(port, process)
    finally:
        _end(process)


@contextmanager
def emitted(name: str, folder: Path, deadline: float = 10.0) -> Iterator[Server]:
    """Run the emitted batching for a model until the block ends."""
    command = [sys.executable, "batching_server.py", name, str(folder), str(deadline)]
    with serving(command, folder / f"{name}.log") as server:
        yield server


@contextmanager
def plain(name: str, folder: Path, threads: int) -> Iterator[Server]:
    """Run plain FastAPI for a model until the block ends."""
    command = [sys.executable, "batching_plain.py", name, str(folder), str(threads)]
    with serving(command, folder / f"{name}-plain.log") as server:
        yield server


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, log: Path | None) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    words = log.read_text(errors="replace").strip().splitlines() if log else []
    raise NotStartedError(words[-1] if words else "it does not listen")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the main process to end, and end whatever it leaves behind."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(END_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(END_SECONDS)
