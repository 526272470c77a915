"""Fakes for the ports of jobs."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

from app.errors import UnavailableError
from app.jobs.ports import Attempt, ReportProgress


@dataclass
class FakeJobQueue:
    """A queue in memory, unavailable while it is `down`."""

    ids: list[UUID] = field(default_factory=list)
    down: bool = False
    keeps_copies: bool = True

    async def enqueue(self, job_id: UUID) -> None:
        """Append an id."""
        await self.ping()
        self.ids.append(job_id)

    async def ping(self) -> None:
        """Raise if the queue is down."""
        if self.down:
            raise UnavailableError("The job queue cannot be reached.")


async def succeed(_: Attempt, report: ReportProgress) -> None:
    """Report progress and succeed."""
    await report(0.5)


@dataclass
class FakeHandler:
    """A handler with configurable work that records its calls."""

    work: Callable[[Attempt, ReportProgress], Awaitable[None]] = succeed
    attempts: list[Attempt] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    untidy: bool = False
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, attempt: Attempt, report: ReportProgress) -> None:
        """Record the attempt and do the work."""
        self.attempts.append(attempt)
        self.started.set()
        await self.work(attempt, report)

    async def give_up(self, attempt: Attempt, reason: str) -> None:
        """Record the reason, or raise if `untidy`."""
        if self.untidy:
            raise RuntimeError
        self.given_up.append(reason)


def failing(error: Exception) -> FakeHandler:
    """Return a handler whose every attempt raises this error."""

    async def fail(_: Attempt, __: ReportProgress) -> None:
        raise error

    return FakeHandler(fail)


def hanging() -> FakeHandler:
    """Return a handler whose attempts never end on their own."""

    async def hang(_: Attempt, __: ReportProgress) -> None:
        await asyncio.Event().wait()

    return FakeHandler(hang)
