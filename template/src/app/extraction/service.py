"""Extracting data from callers' texts, at once or as a job."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from uuid import UUID

from app.auth.caller import Caller, Scope
from app.chat.ports import PromptSource
from app.database import Database
from app.errors import ExtractionFailedError, NotFoundError, UnprocessableError
from app.extraction import repository
from app.extraction.extractor import Extractor, Outcome, Wish
from app.extraction.models import ExtractionBatch, ExtractionItem
from app.extraction.release import review_of
from app.jobs.models import Job
from app.jobs.service import JobService
from app.prompts.service import PromptChoice
from app.reviews.models import Review
from app.reviews.service import ReviewService

BATCH = "extractions.batch"


@dataclass(frozen=True, slots=True)
class Batch:
    """Many texts, in the order in which they came, and the job that goes through them; None if that is gone."""

    batch: ExtractionBatch
    items: Sequence[ExtractionItem]
    job: Job | None


@dataclass(frozen=True, slots=True)
class ExtractionService:
    """Turns texts into data of the caller's shape."""

    database: Database
    extractor: Extractor
    prompts: PromptSource
    jobs: JobService
    reviews: ReviewService

    async def extract(
        self, text: str, wish: Wish, *, prompt: PromptChoice | None = None, caller: Caller
    ) -> Outcome | Review:
        """Extract data that fits the caller's schema; or have a reviewer look at what does not, if that is wished.

        Raises:
            ForbiddenError: the caller may not ask.
            SchemaRefusedError: the schema is wrong, or more than the service takes.
            UnprocessableError: the text is too long.
            CallerError: the prompt cannot be used like that.
            UnsupportedParameterError: so many attempts are not allowed, or the model cannot write JSON.
            ModelNotFoundError: there is no such model.
            ExtractionFailedError: no answer of the model fits, and no review is wished.
            UpstreamError: the model failed.
        """
        caller.require(Scope.EXTRACTIONS)
        self._check_length(text)
        wish = await self._complete(wish, prompt, caller)
        plan = await self.extractor.plan(wish)
        outcome = await self.extractor.extract(text, plan, caller=caller)
        if not outcome.faults:
            return outcome
        failure = failure_of(outcome)
        if wish.on_failure == "error":
            raise failure
        async with self.database.transaction() as session:
            return await self.reviews.record(session, review_of(text, wish, outcome, failure), owner_id=caller.id)

    async def submit(
        self,
        texts: Sequence[str],
        wish: Wish,
        *,
        prompt: PromptChoice | None = None,
        idempotency_key: str | None = None,
        caller: Caller,
    ) -> tuple[ExtractionBatch, Job | None]:
        """Have many texts worked on by a job; a repeated idempotency key returns the first batch.

        Raises:
            ForbiddenError: the caller may not ask.
            UnprocessableError: there are too many texts, or one is too long; or what `extract` raises of it.
        """
        caller.require(Scope.EXTRACTIONS)
        most = self.extractor.settings.max_items
        if len(texts) > most:
            raise UnprocessableError(f"A batch may have at most {most} texts here.")
        for text in texts:
            self._check_length(text)
        wish = await self._complete(wish, prompt, caller)
        await self.extractor.plan(wish)
        row = {
            "owner_id": caller.id,
            "key_id": caller.key_id,
            "wish": asdict(wish),
            "idempotency_key": idempotency_key,
        }
        async with self.database.transaction() as session:
            batch = await repository.add(session, row, texts)
            if batch is None:
                batch = _found(await repository.find_by_idempotency_key(session, caller.id, str(idempotency_key)))
                return batch, await self.jobs.find(session, batch.job_id)
            payload = {"batch_id": str(batch.id)}
            job = await self.jobs.record(session, owner_id=caller.id, kind=BATCH, payload=payload)
            batch.job_id = job.id
        await self.jobs.enqueue(job.id)
        return batch, job

    async def get_batch(self, batch_id: UUID, *, caller: Caller) -> Batch:
        """Return a batch with what has become of each text so far.

        Raises:
            NotFoundError: the caller has no such batch.
        """
        caller.require(Scope.EXTRACTIONS)
        async with self.database.transaction() as session:
            batch = _found(await repository.find(session, caller.id, batch_id))
            items = await repository.list_items(session, batch.id)
            return Batch(batch, items, await self.jobs.find(session, batch.job_id))

    async def _complete(self, wish: Wish, prompt: PromptChoice | None, caller: Caller) -> Wish:
        """Put into a wish what may have changed when a job gets to it."""
        filled = await self.prompts.fill(prompt, caller=caller) if prompt else None
        return replace(wish, max_tokens=self.extractor.usage.longest_answer(caller=caller), prompt=filled)

    def _check_length(self, text: str) -> None:
        most = self.extractor.settings.max_characters
        if len(text) > most:
            raise UnprocessableError(f"A text may have at most {most:,} characters here.")


def failure_of(outcome: Outcome) -> ExtractionFailedError:
    """Say that an outcome does not fit, and where; what the model wrote is not in it."""
    times = "once" if outcome.attempts == 1 else f"{outcome.attempts} times"
    detail = f"The language model was asked {times} and gave no answer that fits the schema."
    return ExtractionFailedError(detail, faults=outcome.faults)


def _found(batch: ExtractionBatch | None) -> ExtractionBatch:
    if batch is None:
        raise NotFoundError("There is no such batch.")
    return batch
