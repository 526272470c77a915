"""A file that shows from outside whether a worker makes progress."""

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.jobs.settings import JobsSettings


@dataclass(frozen=True, slots=True)
class AliveFile:
    """A file that appears once the worker is ready and whose age is the time since the worker last made progress.

    It depends on neither the database nor the queue: restarting a worker would not bring them back.

    Attributes:
        path: None if nobody asks for the file.
        interval: seconds between two beats.
    """

    path: Path | None
    interval: float

    def remove(self) -> None:
        """Remove what an earlier process left."""
        if self.path:
            self.path.unlink(missing_ok=True)

    def create(self) -> None:
        """Show that the worker is ready."""
        if self.path:
            self.path.touch()

    def beat(self) -> None:
        """Show that the worker makes progress; before it is ready, nothing is shown."""
        if self.path:
            with suppress(FileNotFoundError):
                os.utime(self.path)

    async def keep(self) -> None:
        """Beat until cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(self.interval)


def alive_file(settings: JobsSettings) -> AliveFile:
    """Return the file that the settings name, or one that is never written."""
    return AliveFile(settings.alive_file, settings.heartbeat)
