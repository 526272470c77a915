"""A real worker with a handler that tests can watch and delay: `python -m tests.jobs.worker_process`."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.database import open_database
from app.jobs.ports import Attempt, ReportProgress
from app.jobs.runner import JobRunner
from app.observability.logging import configure_logging
from app.settings import Settings
from app.worker import run_worker

KIND = "test.diary"


class WriteDiary:
    """Writes a job's events to its diary and ends the job once the file `go` exists beside the diary."""

    async def run(self, attempt: Attempt, report: ReportProgress) -> None:
        """Write the start, wait for `go` and write the end."""
        diary = Path(attempt.payload["diary"])
        _write(diary, "started")
        await report(0.5)
        while not diary.with_name("go").exists():
            await asyncio.sleep(0.02)
        _write(diary, "ended")

    async def give_up(self, attempt: Attempt, reason: str) -> None:
        """Write the reason."""
        _write(Path(attempt.payload["diary"]), reason)


@asynccontextmanager
async def open_job_runner(settings: Settings) -> AsyncIterator[JobRunner]:
    """Open a runner for diary jobs only, without models or a vector store."""
    async with open_database(settings.database) as database:
        yield JobRunner(database, {KIND: WriteDiary()}, settings.jobs)


def _write(diary: Path, line: str) -> None:
    with diary.open("a") as file:
        file.write(line + "\n")


if __name__ == "__main__":
    start_settings = Settings()
    configure_logging(start_settings.logging)
    run_worker(start_settings, open_job_runner)
