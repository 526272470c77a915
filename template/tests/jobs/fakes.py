"""Stand-ins for what jobs need from the outside."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from uuid import UUID

from app.errors import UnavailableError
from app.jobs.ports import Attempt, ReportProgress


@dataclass
class FakeJobQueue:
    """A queue in memory; while it is `down` it takes nothing."""

    ids: list[UUID] = field(default_factory=list)
    down: bool = False
    keeps_copies: bool = True

    async def enqueue(self, job_id: UUID) -> None:
        """Keep an id."""
        await self.ping()
        self.ids.append(job_id)

    async def ping(self) -> None:
        """Be there, unless down."""
        if self.down:
            raise UnavailableError("The job queue cannot be reached.")


async def succeed(_: Attempt, report: ReportProgress) -> None:
    """Do nothing, well."""
    await report(0.5)


@dataclass
class FakeHandler:
    """Works as it is told and remembers what was asked of it."""

    work: Callable[[Attempt, ReportProgress], Awaitable[None]] = succeed
    attempts: list[Attempt] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    untidy: bool = False
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self, attempt: Attempt, report: ReportProgress) -> None:
        """Do the work."""
        self.attempts.append(attempt)
        self.started.set()
        await self.work(attempt, report)

    async def give_up(self, attempt: Attempt, reason: str) -> None:
        """Remember the reason, or fail if `untidy`."""
        if self.untidy:
            raise RuntimeError
        self.given_up.append(reason)


def failing(error: Exception) -> FakeHandler:
    """A handler whose every attempt ends like this."""

    async def fail(_: Attempt, __: ReportProgress) -> None:
        raise error

    return FakeHandler(fail)


def hanging() -> FakeHandler:
    """A handler whose attempts never end by themselves."""

    async def hang(_: Attempt, __: ReportProgress) -> None:
        await asyncio.Event().wait()

    return FakeHandler(hang)
