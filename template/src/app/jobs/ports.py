"""What jobs need from the outside."""

from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID


class JobQueue(Protocol):
    """Carries the ids of jobs to the workers, at least once, in no promised order.

    Attributes:
        keeps_copies: an id that waits already is kept once more when it is handed over again.
    """

    keeps_copies: bool

    async def enqueue(self, job_id: UUID) -> None:
        """Hand an id over.

        Raises:
            UnavailableError: the queue cannot be reached.
        """

    async def ping(self) -> None:
        """Raise `UnavailableError` if the queue does not answer."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a job, as its handler sees it."""

    job_id: UUID
    owner_id: UUID
    payload: dict[str, Any]
    number: int


class ReportProgress(Protocol):
    """Tells how far an attempt has come."""

    async def __call__(self, fraction: float) -> None:
        """Record progress from 0 to 1."""


class JobHandler(Protocol):
    """Does the work of one kind of job. An attempt may be repeated: doing it twice must equal doing it once."""

    async def run(self, attempt: Attempt, report: ReportProgress) -> None:
        """Do the work.

        Raises:
            DropJobError: trying again cannot help.
            PauseJobError: there is less to do than before; the job goes on later.
            UpstreamError: if it is retryable, the job is tried again for a day, unless its kind has a schedule.
            TooManyRequestsError: the same, as long as the owner's quota is one of minutes.
            Exception: anything else; the job is tried again until its attempts are used up.
        """

    async def give_up(self, attempt: Attempt, reason: str) -> None:
        """Leave everything in order after the last attempt has failed; `reason` is fit for the owner's eyes."""
