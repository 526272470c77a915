"""The job handler of extraction batches."""

import asyncio
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from app.auth.caller import Caller
from app.database import Database
from app.errors import (
    AppError,
    BudgetExhaustedError,
    CallerError,
    DropJobError,
    PauseJobError,
    RetryJobError,
    TooManyRequestsError,
    UpstreamError,
)
from app.extraction import repository
from app.extraction.extractor import ExtractionOptions, Extractor, Outcome, Plan, read_options
from app.extraction.models import ExtractionBatch, ItemState
from app.extraction.release import review_of
from app.extraction.service import failure_of
from app.jobs.ports import Attempt, ReportProgress
from app.reviews.service import ReviewService

GIVEN_UP = "job_failed"


@dataclass(slots=True)
class _BatchRun:
    """State of one job attempt, shared by its concurrent tasks.

    Attributes:
        waiting: positions and texts that are still to be processed.
        total: number of texts in the batch.
        done: number of finished texts, including those of earlier attempts.
        last_error: the last transient error.
        failures_in_a_row: number of transient errors since the last text that finished.
    """

    batch: ExtractionBatch
    options: ExtractionOptions
    plan: Plan
    waiting: Iterator[tuple[int, str]]
    total: int
    done: int
    last_error: AppError | None = None
    failures_in_a_row: int = 0


@dataclass(frozen=True, slots=True)
class ExtractBatch:
    """Extracts data from the waiting texts of a batch; finished texts are never processed again."""

    database: Database
    extractor: Extractor
    reviews: ReviewService

    async def run(self, attempt: Attempt, report: ReportProgress) -> None:
        """Process the waiting texts of a batch, several at a time.

        Raises:
            DropJobError: the batch can no longer be processed, for example because its model was removed.
            PauseJobError: a transient failure or an exhausted quota left texts waiting, but some were finished.
            UpstreamError: the model failed temporarily, and no text was finished.
            TooManyRequestsError: the owner's quota is exhausted, and no text was finished.
            RetryJobError: the last few texts failed again, or the month's budget is exhausted.
        """
        batch_id = UUID(attempt.payload["batch_id"])
        async with self.database.transaction() as session:
            batch = await repository.find(session, attempt.owner_id, batch_id)
            waiting = await repository.list_waiting(session, batch_id)
            total = await repository.count_items(session, batch_id)
        if batch is None:
            return
        options = read_options(batch.wish)
        try:
            plan = await self.extractor.plan(options)
        except CallerError as error:
            raise DropJobError(error.detail) from error
        work = _BatchRun(batch, options, plan, iter(waiting), total, total - len(waiting))
        tasks = [asyncio.create_task(self._work(work, report)) for _ in range(self._concurrency)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if work.last_error is not None:
            raise self._final_error(work, work.last_error, total - len(waiting))

    async def give_up(self, attempt: Attempt, reason: str) -> None:
        """Fail the waiting texts with the reason, which the owner can read."""
        result = {"code": GIVEN_UP, "detail": reason, "errors": []}
        async with self.database.transaction() as session:
            await repository.fail_waiting(session, UUID(attempt.payload["batch_id"]), result)

    def _final_error(self, work: _BatchRun, last_error: AppError, before: int) -> AppError:
        """Return the error of an attempt that leaves texts waiting; `before` counts the texts finished before it."""
        if work.done > before:
            # A budget's Retry-After is the next month, but the operator may raise the budget before.
            wait = None if isinstance(last_error, BudgetExhaustedError) else last_error.retry_after
            return PauseJobError(last_error.detail, retry_after=wait)
        # If other texts succeeded, the few that keep failing are probably too much for the model.
        is_outage = work.failures_in_a_row >= self._outage_threshold
        is_text = isinstance(last_error, UpstreamError) and before > 0 and not is_outage
        if is_text or isinstance(last_error, BudgetExhaustedError):
            return RetryJobError(last_error.detail)
        return last_error

    @property
    def _outage_threshold(self) -> int:
        """Number of consecutive failures from which the model is considered down."""
        return max(2, self._concurrency)

    @property
    def _concurrency(self) -> int:
        return self.extractor.settings.batch_concurrency

    async def _work(self, work: _BatchRun, report: ReportProgress) -> None:
        caller = Caller(work.batch.owner_id, key_id=work.batch.key_id)
        for position, text in work.waiting:
            try:
                outcome = await self.extractor.extract(text, work.plan, caller=caller)
            except (CallerError, UpstreamError) as error:
                if _is_transient(error):
                    work.last_error, work.failures_in_a_row = error, work.failures_in_a_row + 1
                    # A single text may be too much for the model; if every text fails, the model is down.
                    if work.failures_in_a_row >= self._outage_threshold:
                        return
                    continue
                await self._settle(work, position, ItemState.FAILED, _failed(error))
            else:
                await self._store(work, position, text, outcome)
            work.failures_in_a_row = 0
            work.done += 1
            await report(work.done / work.total)

    async def _store(self, work: _BatchRun, position: int, text: str, outcome: Outcome) -> None:
        if outcome.faults:
            await self._store_failure(work, position, text, outcome)
            return
        result = {
            "data": outcome.data,
            "model": outcome.model,
            "attempts": outcome.attempts,
            "usage": asdict(outcome.usage),
            "prompt_name": outcome.prompt.name if outcome.prompt else None,
            "prompt_version": outcome.prompt.version if outcome.prompt else None,
        }
        await self._settle(work, position, ItemState.DONE, result)

    async def _store_failure(self, work: _BatchRun, position: int, text: str, outcome: Outcome) -> None:
        failure = failure_of(outcome)
        if work.options.on_failure == "error":
            await self._settle(work, position, ItemState.FAILED, _failed(failure))
            return
        new = review_of(text, work.options, outcome, failure)
        result = {"review_id": str(new.id)}
        async with self.database.transaction() as session:
            # Only the first attempt to finish a text records a review.
            if await repository.settle(session, work.batch.id, position, ItemState.IN_REVIEW, result):
                await self.reviews.record(session, new, owner_id=work.batch.owner_id)

    async def _settle(self, work: _BatchRun, position: int, state: ItemState, result: dict[str, Any]) -> None:
        async with self.database.transaction() as session:
            await repository.settle(session, work.batch.id, position, state, result)


def _is_transient(error: CallerError | UpstreamError) -> bool:
    """Return whether the same text may succeed later: the model was down, or the caller's quota was exhausted."""
    return error.retryable if isinstance(error, UpstreamError) else isinstance(error, TooManyRequestsError)


def _failed(error: AppError) -> dict[str, Any]:
    errors = [{"location": location, "message": message} for location, message in error.faults]
    return {"code": error.code, "detail": error.detail, "errors": errors}
