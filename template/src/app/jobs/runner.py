"""One attempt at a job: claimed, worked on under a heartbeat, settled."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import structlog
from opentelemetry.trace import get_current_span

from app.database import Database
from app.errors import AppError, DropJobError, PauseJobError, UnavailableError
from app.event_publisher import EventPublisher
from app.jobs.lease import Lease, claim
from app.jobs.metrics import Outcome, record_attempt
from app.jobs.models import JobState
from app.jobs.ports import Attempt, JobHandler, JobQueue
from app.jobs.settings import JobsSettings
from app.observability.spans import first_span, mark_failed

log = structlog.get_logger(__name__)

INTERNAL = "The job failed for an internal reason."
TOO_LONG = "The job took longer than it may."
INTERRUPTED = "The job was interrupted too often."
CANCELLED = "The job was cancelled."
UNKNOWN_KIND = "No worker knows this kind of job."

# Seconds, from when a job was recorded, in which tries that fail for want of something else do not count, and the
# longest wait between two of them.
PATIENCE = 24 * 3600
LONGEST_WAIT = 3600

# Seconds for which an id is kept while the database is away, and between two tries to claim its job.
CLAIM_PATIENCE = 300.0
CLAIM_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class JobRunner:
    """Does what a job asks for. Running an id twice, at once or later, is harmless.

    Attributes:
        publisher: is told how jobs have ended.
        schedules: for kinds of jobs that are not tried again as the settings say, the seconds before each further try.
        queue: takes ids back that could not be looked into.
    """

    database: Database
    handlers: Mapping[str, JobHandler]
    settings: JobsSettings
    publisher: EventPublisher | None = None
    schedules: Mapping[str, Sequence[float]] = field(default_factory=dict)
    queue: JobQueue | None = None

    async def run(self, job_id: UUID) -> None:
        """Work on a job if there is something to do for it and nobody else does it.

        Another goes first if it is due and its owner has fewer jobs running; the sweeper then sends this one again.
        Cancelling this call gives the job back, to be run again without a try having been counted.
        """
        lease = await self._claim(job_id)
        if lease is None:
            log.debug("job.not_claimed", job_id=str(job_id))
            return
        job = lease.job
        with (
            structlog.contextvars.bound_contextvars(job_id=str(job.id), kind=job.kind, attempt=job.attempt),
            first_span(f"job {job.kind}", {"app.job_id": str(job.id), "app.attempt": job.attempt}, job.trace_parent),
        ):
            if job.state == JobState.CANCELLED:
                await self._withdraw(lease, JobState.CANCELLED)
            else:
                await self._attempt(lease)

    async def _claim(self, job_id: UUID) -> Lease | None:
        # The queue has let go of the id: dropped as well, it would not come again before the sweeper takes it for lost.
        clock = asyncio.get_running_loop().time
        end = clock() + CLAIM_PATIENCE
        try:
            while True:
                try:
                    return await claim(self.database, job_id, self.settings, self.publisher)
                except UnavailableError as error:
                    if clock() >= end:
                        raise
                    log.warning("job.claim_failed", job_id=str(job_id), cause=repr(error.__cause__))
                await asyncio.sleep(CLAIM_PAUSE)
        except (UnavailableError, asyncio.CancelledError):
            if self.queue is not None:
                with suppress(UnavailableError):
                    await self.queue.enqueue(job_id)
            raise

    async def _attempt(self, lease: Lease) -> None:
        work = asyncio.create_task(self._work(lease))
        watch = asyncio.create_task(lease.watch())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                await work
            else:
                await _stop(work)
                await self._withdraw(lease, watch.result())
        except asyncio.CancelledError:
            await _stop(work)
            if await lease.release():
                _record(lease, "released")
                log.info("job.released")
            raise
        finally:
            await _stop(watch)

    async def _work(self, lease: Lease) -> None:
        job = lease.job
        handler = self.handlers.get(job.kind)
        if handler is None:
            # While one release takes the place of another, a worker of the newer one may know it.
            if _seconds_since(job.created_at) < PATIENCE:
                await self._wait(lease, UNKNOWN_KIND)
            else:
                await self._fail(lease, UNKNOWN_KIND)
            return
        if job.attempt > self._most_attempts(job.kind):
            await self._fail(lease, INTERRUPTED)
            return
        try:
            async with asyncio.timeout(self.settings.time_limit) as limit:
                await handler.run(_attempt_of(lease), lease.report)
        except Exception as error:  # noqa: BLE001 - a handler may fail in any way; each is settled here
            await self._settle_failure(lease, error, TOO_LONG if limit.expired() else _reason(error))
        else:
            await self._settle(lease, succeeded=await lease.close(JobState.SUCCEEDED))

    async def _settle(self, lease: Lease, *, succeeded: bool) -> None:
        if succeeded:
            _record(lease, "succeeded")
            log.info("job.succeeded")
            await lease.announce()
        else:
            await self._withdraw(lease, await lease.beat())

    async def _settle_failure(self, lease: Lease, error: Exception, reason: str) -> None:
        kind, number = lease.job.kind, lease.job.attempt
        mark_failed(get_current_span(), error)
        # A foreseen failure explains itself; the trace of any other is what its mending needs.
        trace = None if isinstance(error, AppError) else error
        log.warning("job.attempt_failed", error=repr(error), exc_info=trace)
        is_away = isinstance(error, AppError) and error.retryable and kind not in self.schedules
        if isinstance(error, PauseJobError) or (is_away and _seconds_since(lease.job.created_at) < PATIENCE):
            await self._wait(lease, reason, _retry_after(error), is_away=is_away)
        elif isinstance(error, DropJobError) or number >= self._most_attempts(kind):
            await self._fail(lease, reason)
        else:
            delay = self._backoff(kind, number)
            await self._settle_retry(lease, delay, requeued=await lease.requeue(reason, delay))

    async def _wait(self, lease: Lease, reason: str, least: float = 0, *, is_away: bool = True) -> None:
        # As long again as it has been away by now, so that the waits grow although no try is counted.
        since = lease.job.away_since if is_away else None
        away = 0 if since is None else _seconds_since(since)
        delay = max(least, _spread(min(LONGEST_WAIT, max(self.settings.backoff_base, away))))
        requeued = await lease.requeue_uncounted(reason, delay, is_away=is_away)
        await self._settle_retry(lease, delay, requeued=requeued)

    async def _settle_retry(self, lease: Lease, delay: float, *, requeued: bool) -> None:
        if requeued:
            _record(lease, "retried")
            log.info("job.retry", seconds=round(delay, 3))
        else:
            await self._withdraw(lease, await lease.beat())

    async def _fail(self, lease: Lease, reason: str) -> None:
        # First the tidying, then the record of it: a crash between the two repeats the tidying, never skips it.
        await self._give_up(lease, reason)
        if await lease.close(JobState.FAILED, reason):
            _record(lease, "failed")
            log.error("job.failed", reason=reason)
            await lease.announce()
        else:
            await self._withdraw(lease, await lease.beat())

    async def _withdraw(self, lease: Lease, state: JobState | None) -> None:
        if state is not JobState.CANCELLED:
            _record(lease, "lost")
            log.warning("job.lease_lost")
            return
        await self._give_up(lease, CANCELLED)
        await lease.close(JobState.CANCELLED)
        _record(lease, "cancelled")
        log.info("job.cancelled")

    async def _give_up(self, lease: Lease, reason: str) -> None:
        handler = self.handlers.get(lease.job.kind)
        if handler is None:
            return
        try:
            await handler.give_up(_attempt_of(lease), reason)
        except Exception:
            log.exception("job.give_up_failed")

    def _most_attempts(self, kind: str) -> int:
        return 1 + len(self.schedules[kind]) if kind in self.schedules else self.settings.max_attempts

    def _backoff(self, kind: str, number: int) -> float:
        if kind in self.schedules:
            return _spread(self.schedules[kind][number - 1])
        return _spread(min(self.settings.backoff_cap, self.settings.backoff_base * 2.0 ** (number - 1)))


def _record(lease: Lease, outcome: Outcome) -> None:
    record_attempt(lease.job.kind, outcome, asyncio.get_running_loop().time() - lease.began)


def _seconds_since(moment: datetime) -> float:
    # By this machine's clock: against the waits that follow from it, what it is off does not matter.
    return (datetime.now(UTC) - moment).total_seconds()


def _spread(longest: float) -> float:
    return longest * random.uniform(0.5, 1)  # noqa: S311 - spreads retries, guards nothing


def _attempt_of(lease: Lease) -> Attempt:
    job = lease.job
    return Attempt(job.id, job.owner_id, job.payload, job.attempt)


def _retry_after(error: Exception) -> float:
    return (error.retry_after or 0) if isinstance(error, AppError) else 0


def _reason(error: Exception) -> str:
    return error.detail if isinstance(error, AppError) else INTERNAL


async def _stop(task: asyncio.Task[None] | asyncio.Task[JobState | None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
