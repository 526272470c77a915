"""Worker processes that a test starts, kills and starts again."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]


class Workers:
    """Starts workers with these environment variables, and leaves none behind."""

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
            process = subprocess.Popen(  # noqa: ASYNC220, S603 - a worker that the test signals by its number
                command, cwd=ROOT, env=os.environ | self.environment, stdout=log, stderr=log, start_new_session=True
            )
        self._processes.append(process)
        async with asyncio.timeout(60):
            while self._count_ready() == ready:
                assert process.poll() is None, self._log.read_text()
                await asyncio.sleep(0.05)
        return process

    async def stop(self, process: subprocess.Popen[bytes], tell: Callable[[int, int], None] = os.kill) -> int:
        """Ask a worker to stop, and wait until it has; returns its exit status."""
        tell(process.pid, signal.SIGTERM)
        return await asyncio.wait_for(asyncio.to_thread(process.wait), 60)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        """Kill a worker with all its processes, without warning."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def let_jobs_end(self) -> None:
        """Let every job that is under way come to its end."""
        (self._folder / "go").touch()

    def read_diary(self) -> list[str]:
        """What has happened to the job so far."""
        return self.diary.read_text().split("\n")[:-1] if self.diary.exists() else []

    async def have_said(self, event: str) -> None:
        """Wait until a line of this kind is in their log."""
        async with asyncio.timeout(60):
            while event not in self._log.read_text():
                await asyncio.sleep(0.05)

    async def diary_has(self, lines: int) -> None:
        """Wait until that much has happened."""
        async with asyncio.timeout(60):
            while len(self.read_diary()) < lines:
                await asyncio.sleep(0.02)

    def close(self) -> None:
        """Kill what is still running."""
        for process in self._processes:
            if process.poll() is None:
                self.kill(process)

    def _count_ready(self) -> int:
        return self._log.read_text().count("worker.ready") if self._log.exists() else 0
