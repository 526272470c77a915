"""Worker processes that a test starts, kills and restarts."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Workers:
    """Starts workers with these environment variables and kills all of them at the end."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment = environment
        self._folder = folder
        self._log = folder / "worker.log"
        self._processes: list[subprocess.Popen[bytes]] = []
        self.diary = folder / "diary"

    async def start(self) -> subprocess.Popen[bytes]:
        """Start a worker and wait until it is ready."""
        ready = self._count_ready()
        command = [sys.executable, "-m", "tests.jobs.worker_process"]
        with self._log.open("ab") as log:
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - a worker that the test signals by its id
                command, cwd=ROOT, env=os.environ | self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self._processes.append(process)
        async with asyncio.timeout(60):
            while self._count_ready() == ready:
                assert process.poll() is None, self._log.read_text()
                await asyncio.sleep(0.05)
        return process

    async def stop(self, process: subprocess.Popen[bytes], tell: Callable[[int, int], None] = os.kill) -> int:
        """Ask a worker to stop, wait for it and return its exit status."""
        tell(process.pid, signal.SIGTERM)
        return await asyncio.wait_for(asyncio.to_thread(process.wait), 60)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a worker and its child processes without warning."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def let_jobs_end(self) -> None:
        """Let every running job end."""
        (self._folder / "go").touch()

    def read_diary(self) -> list[str]:
        """Return the job's events so far."""
        return self.diary.read_text().split("\n")[:-1] if self.diary.exists() else []

    async def have_said(self, event: str) -> None:
        """Wait until this event is in the workers' log."""
        async with asyncio.timeout(60):
            while event not in self._log.read_text():
                await asyncio.sleep(0.05)

    async def diary_has(self, lines: int) -> None:
        """Wait until the diary has this many lines."""
        async with asyncio.timeout(60):
            while len(self.read_diary()) < lines:
                await asyncio.sleep(0.02)

    def close(self) -> None:
        """Kill all workers that still run."""
        for process in self._processes:
            if process.poll() is None:
                self.kill(process)

    def _count_ready(self) -> int:
        return self._log.read_text().count("worker.ready") if self._log.exists() else 0
