"""Ports of jobs: the queue, and the handlers that do the work."""

from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID


class JobQueue(Protocol):
    """Delivers the ids of jobs to the workers, at least once and in no guaranteed order.

    Attributes:
        keeps_copies: whether enqueueing an id that already waits adds a duplicate.
    """

    keeps_copies: bool

    async def enqueue(self, job_id: UUID) -> None:
        """Enqueue an id.

        Raises:
            UnavailableError: the queue cannot be reached.
        """

    async def ping(self) -> None:
        """Raise `UnavailableError` if the queue does not answer."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a job, as its handler sees it."""

    job_id: UUID
    owner_id: UUID
    payload: dict[str, Any]
    number: int


class ReportProgress(Protocol):
    """Reports the progress of an attempt."""

    async def __call__(self, fraction: float) -> None:
        """Record progress from 0 to 1."""


class JobHandler(Protocol):
    """Does the work of one kind of job. It must be idempotent, because an attempt may be repeated."""

    async def run(self, attempt: Attempt, report: ReportProgress) -> None:
        """Do the work.

        Raises:
            DropJobError: a retry cannot help; the job fails.
            PauseJobError: a part is done; the job resumes later, and this attempt does not count.
            UpstreamError: if it is retryable, the job is retried for a day, unless its kind has a schedule.
            TooManyRequestsError: the same, if it is retryable, such as for a quota per minute.
            Exception: anything else; the job is retried until its attempts are used up.
        """

    async def give_up(self, attempt: Attempt, reason: str) -> None:
        """Clean up after the job has failed or been cancelled; `reason` may be shown to the owner."""
