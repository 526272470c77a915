"""Runs one attempt at a job: claims it, does the work under a heartbeat, records the outcome."""

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
from app.observability.spans import consumer_span, mark_failed

log = structlog.get_logger(__name__)

INTERNAL = "The job failed for an internal reason."
TOO_LONG = "The job exceeded its time limit."
INTERRUPTED = "The job was interrupted too often."
CANCELLED = "The job was cancelled."
UNKNOWN_KIND = "No worker knows this kind of job."

# Seconds after a job's creation in which attempts that fail because something is unavailable do not count, and the
# longest wait between two of them.
OUTAGE_SECONDS = 24 * 3600
LONGEST_OUTAGE_WAIT = 3600

# Seconds for which claiming is retried while the database is unavailable, and between two attempts to claim.
CLAIM_PATIENCE = 300.0
CLAIM_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class JobRunner:
    """Runs jobs with the handlers of their kinds. Running an id twice, concurrently or later, is harmless.

    Attributes:
        handlers: by kind of job.
        publisher: notifies owners of how their jobs ended.
        schedules: delays in seconds before each retry, for the kinds that do not follow the settings.
        queue: takes back ids that could not be claimed because the database was unavailable.
    """

    database: Database
    handlers: Mapping[str, JobHandler]
    settings: JobsSettings
    publisher: EventPublisher | None = None
    schedules: Mapping[str, Sequence[float]] = field(default_factory=dict)
    queue: JobQueue | None = None

    async def run(self, job_id: UUID) -> None:
        """Run a job unless it is finished or another worker has it.

        A due job whose owner has fewer jobs running takes precedence; the sweeper then enqueues this one again.
        Cancelling this call returns the job to the queue without counting the attempt.
        """
        lease = await self._claim(job_id)
        if lease is None:
            log.debug("job.not_claimed", job_id=str(job_id))
            return
        job = lease.job
        with (
            structlog.contextvars.bound_contextvars(job_id=str(job.id), kind=job.kind, attempt=job.attempt),
            consumer_span(f"job {job.kind}", {"app.job_id": str(job.id), "app.attempt": job.attempt}, job.trace_parent),
        ):
            if job.state == JobState.CANCELLED:
                await self._withdraw(lease, JobState.CANCELLED)
            else:
                await self._attempt(lease)

    async def _claim(self, job_id: UUID) -> Lease | None:
        # The queue no longer has the id: if it were dropped here, it would wait for the sweeper to find it lost.
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
            # During a rolling update, a worker of the newer release may know the kind.
            if _seconds_since(job.created_at) < OUTAGE_SECONDS:
                await self._requeue_uncounted(lease, UNKNOWN_KIND)
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
        # An expected error needs no traceback.
        trace = None if isinstance(error, AppError) else error
        log.warning("job.attempt_failed", error=repr(error), exc_info=trace)
        is_outage = isinstance(error, AppError) and error.retryable and kind not in self.schedules
        if isinstance(error, PauseJobError) or (is_outage and _seconds_since(lease.job.created_at) < OUTAGE_SECONDS):
            await self._requeue_uncounted(lease, reason, _retry_after(error), is_outage=is_outage)
        elif isinstance(error, DropJobError) or number >= self._most_attempts(kind):
            await self._fail(lease, reason)
        else:
            delay = self._backoff(kind, number)
            await self._settle_retry(lease, delay, requeued=await lease.requeue(reason, delay))

    async def _requeue_uncounted(self, lease: Lease, reason: str, least: float = 0, *, is_outage: bool = True) -> None:
        # Wait as long again as it has been unavailable, so that the waits grow although no attempt is counted.
        since = lease.job.away_since if is_outage else None
        away = 0 if since is None else _seconds_since(since)
        delay = max(least, _jitter(min(LONGEST_OUTAGE_WAIT, max(self.settings.backoff_base, away))))
        requeued = await lease.requeue_uncounted(reason, delay, is_outage=is_outage)
        await self._settle_retry(lease, delay, requeued=requeued)

    async def _settle_retry(self, lease: Lease, delay: float, *, requeued: bool) -> None:
        if requeued:
            _record(lease, "retried")
            log.info("job.retry", seconds=round(delay, 3))
        else:
            await self._withdraw(lease, await lease.beat())

    async def _fail(self, lease: Lease, reason: str) -> None:
        # Clean up first, then record it: a crash in between repeats the cleanup instead of skipping it.
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
            return _jitter(self.schedules[kind][number - 1])
        return _jitter(min(self.settings.backoff_cap, self.settings.backoff_base * 2.0 ** (number - 1)))


def _record(lease: Lease, outcome: Outcome) -> None:
    record_attempt(lease.job.kind, outcome, asyncio.get_running_loop().time() - lease.began)


def _seconds_since(moment: datetime) -> float:
    # By the local clock: its error is small compared with the waits that depend on it.
    return (datetime.now(UTC) - moment).total_seconds()


def _jitter(longest: float) -> float:
    return longest * random.uniform(0.5, 1)  # noqa: S311 - no cryptography


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
