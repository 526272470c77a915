"""The job that goes through a batch."""

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
from app.extraction.extractor import Extractor, Outcome, Plan, Wish, read_wish
from app.extraction.models import ExtractionBatch, ItemState
from app.extraction.release import review_of
from app.extraction.service import failure_of
from app.jobs.ports import Attempt, ReportProgress
from app.reviews.service import ReviewService

GIVEN_UP = "job_failed"


@dataclass(slots=True)
class _Round:
    """One attempt's way through what waits, shared by those who work on it.

    Attributes:
        trouble: what went wrong last in a way that may pass.
        in_a_row: how often it did, with no success in between.
    """

    batch: ExtractionBatch
    wish: Wish
    plan: Plan
    waiting: Iterator[tuple[int, str]]
    total: int
    done: int
    trouble: AppError | None = None
    in_a_row: int = 0


@dataclass(frozen=True, slots=True)
class ExtractBatch:
    """Extracts data from every text that still waits. What is settled is never asked for again."""

    database: Database
    extractor: Extractor
    reviews: ReviewService

    async def run(self, attempt: Attempt, report: ReportProgress) -> None:
        """Go through the batch, some texts at a time.

        Raises:
            DropJobError: the batch can no longer be worked on, for instance because its model is gone.
            PauseJobError: the model failed in a way that may pass, or a quota is used up; some texts were settled.
            UpstreamError: the model failed so, and not one text was settled.
            TooManyRequestsError: the owner's quota is used up, and not one text was settled.
            RetryJobError: the few texts that are left fail again, or the month's budget is used up.
        """
        batch_id = UUID(attempt.payload["batch_id"])
        async with self.database.transaction() as session:
            batch = await repository.find(session, attempt.owner_id, batch_id)
            waiting = await repository.list_waiting(session, batch_id)
            total = await repository.count_items(session, batch_id)
        if batch is None:
            return
        wish = read_wish(batch.wish)
        try:
            plan = await self.extractor.plan(wish)
        except CallerError as error:
            raise DropJobError(error.detail) from error
        work = _Round(batch, wish, plan, iter(waiting), total, total - len(waiting))
        tasks = [asyncio.create_task(self._work(work, report)) for _ in range(self._concurrency)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if work.trouble is not None:
            raise self._ending(work, work.trouble, total - len(waiting))

    async def give_up(self, attempt: Attempt, reason: str) -> None:
        """Show the owner why nothing will become of what still waits."""
        result = {"code": GIVEN_UP, "detail": reason, "errors": []}
        async with self.database.transaction() as session:
            await repository.fail_waiting(session, UUID(attempt.payload["batch_id"]), result)

    def _ending(self, work: _Round, trouble: AppError, before: int) -> AppError:
        """Say how an attempt ends that leaves texts waiting, if so many were settled before it."""
        if work.done > before:
            return PauseJobError(trouble.detail, retry_after=trouble.retry_after)
        # Where others were settled, a few texts that fail again and again are too much for the model.
        is_text = isinstance(trouble, UpstreamError) and before > 0 and work.in_a_row < self._outage
        if is_text or isinstance(trouble, BudgetExhaustedError):
            return RetryJobError(trouble.detail)
        return trouble

    @property
    def _outage(self) -> int:
        """How many failures in a row are no text's fault."""
        return max(2, self._concurrency)

    @property
    def _concurrency(self) -> int:
        return self.extractor.settings.batch_concurrency

    async def _work(self, work: _Round, report: ReportProgress) -> None:
        caller = Caller(work.batch.owner_id, key_id=work.batch.key_id)
        for position, text in work.waiting:
            try:
                outcome = await self.extractor.extract(text, work.plan, caller=caller)
            except (CallerError, UpstreamError) as error:
                if _may_pass(error):
                    work.trouble, work.in_a_row = error, work.in_a_row + 1
                    # One text may be too much for the model; when nothing succeeds, it is the model.
                    if work.in_a_row >= self._outage:
                        return
                    continue
                await self._settle(work, position, ItemState.FAILED, _failed(error))
            else:
                await self._keep(work, position, text, outcome)
            work.in_a_row = 0
            work.done += 1
            await report(work.done / work.total)

    async def _keep(self, work: _Round, position: int, text: str, outcome: Outcome) -> None:
        if outcome.faults:
            await self._keep_failure(work, position, text, outcome)
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

    async def _keep_failure(self, work: _Round, position: int, text: str, outcome: Outcome) -> None:
        failure = failure_of(outcome)
        if work.wish.on_failure == "error":
            await self._settle(work, position, ItemState.FAILED, _failed(failure))
            return
        new = review_of(text, work.wish, outcome, failure)
        result = {"review_id": str(new.id)}
        async with self.database.transaction() as session:
            # Who comes second leaves no second review.
            if await repository.settle(session, work.batch.id, position, ItemState.IN_REVIEW, result):
                await self.reviews.record(session, new, owner_id=work.batch.owner_id)

    async def _settle(self, work: _Round, position: int, state: ItemState, result: dict[str, Any]) -> None:
        async with self.database.transaction() as session:
            await repository.settle(session, work.batch.id, position, state, result)


def _may_pass(error: CallerError | UpstreamError) -> bool:
    """Tell whether the same text may succeed later: the model was down, or the caller's quota used up."""
    return error.retryable if isinstance(error, UpstreamError) else isinstance(error, TooManyRequestsError)


def _failed(error: AppError) -> dict[str, Any]:
    errors = [{"location": location, "message": message} for location, message in error.faults]
    return {"code": error.code, "detail": error.detail, "errors": errors}
