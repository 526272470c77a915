"""The liveness file, by which a health check tells whether a worker makes progress."""

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.jobs.settings import JobsSettings


@dataclass(frozen=True, slots=True)
class AliveFile:
    """The worker's liveness file: created once the worker is ready, and touched whenever it makes progress.

    It depends on neither the database nor the queue, because restarting a worker would not bring them back.

    Attributes:
        path: None if no file is configured; every method then does nothing.
        interval: seconds between two beats.
    """

    path: Path | None
    interval: float

    def remove(self) -> None:
        """Remove the file of an earlier process."""
        if self.path:
            self.path.unlink(missing_ok=True)

    def create(self) -> None:
        """Create the file: the worker is ready."""
        if self.path:
            self.path.touch()

    def beat(self) -> None:
        """Touch the file, if it exists: the worker makes progress."""
        if self.path:
            with suppress(FileNotFoundError):
                os.utime(self.path)

    async def keep(self) -> None:
        """Beat until cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(self.interval)


def alive_file(settings: JobsSettings) -> AliveFile:
    """Return the configured liveness file; without one, its methods do nothing."""
    return AliveFile(settings.alive_file, settings.heartbeat)
