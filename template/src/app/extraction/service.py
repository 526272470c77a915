"""The extraction service: data from a single text at once, or from many in a job."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from uuid import UUID

from app.auth.caller import Caller, Scope
from app.chat.ports import PromptSource
from app.database import Database
from app.errors import ExtractionFailedError, NotFoundError, UnprocessableError
from app.extraction import repository
from app.extraction.extractor import ExtractionOptions, Extractor, Outcome
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
    """A batch, its items in order, and its job; None if the job was deleted."""

    batch: ExtractionBatch
    items: Sequence[ExtractionItem]
    job: Job | None


@dataclass(frozen=True, slots=True)
class ExtractionService:
    """Extracts data that matches the caller's JSON Schema."""

    database: Database
    extractor: Extractor
    prompts: PromptSource
    jobs: JobService
    reviews: ReviewService

    async def extract(
        self, text: str, options: ExtractionOptions, *, prompt: PromptChoice | None = None, caller: Caller
    ) -> Outcome | Review:
        """Extract data that matches the caller's schema; return a review if no answer matches and one is requested.

        Raises:
            ForbiddenError: the caller lacks the scope for extractions.
            SchemaRefusedError: the schema is invalid, unsupported or too large.
            UnprocessableError: the text is too long.
            CallerError: the stored prompt does not exist or is a draft, or its variables do not match.
            UnsupportedParameterError: `max_attempts` exceeds the limit, or the model does not support JSON output.
            ModelNotFoundError: there is no such model.
            ExtractionFailedError: no answer matches the schema, and no review is requested.
            UpstreamError: the model failed.
        """
        caller.require(Scope.EXTRACTIONS)
        self._check_length(text)
        options = await self._complete(options, prompt, caller)
        plan = await self.extractor.plan(options)
        outcome = await self.extractor.extract(text, plan, caller=caller)
        if not outcome.faults:
            return outcome
        failure = failure_of(outcome)
        if options.on_failure == "error":
            raise failure
        async with self.database.transaction() as session:
            return await self.reviews.record(session, review_of(text, options, outcome, failure), owner_id=caller.id)

    async def submit(
        self,
        texts: Sequence[str],
        options: ExtractionOptions,
        *,
        prompt: PromptChoice | None = None,
        idempotency_key: str | None = None,
        caller: Caller,
    ) -> tuple[ExtractionBatch, Job | None]:
        """Start a job that processes several texts; a repeated idempotency key returns the first batch.

        Raises:
            ForbiddenError: the caller lacks the scope for extractions.
            UnprocessableError: there are too many texts, or one is too long.
            CallerError: as for `extract`, if the schema, the options or the prompt are invalid.
        """
        caller.require(Scope.EXTRACTIONS)
        most = self.extractor.settings.max_items
        if len(texts) > most:
            raise UnprocessableError(f"A batch may have at most {most} texts here.")
        for text in texts:
            self._check_length(text)
        options = await self._complete(options, prompt, caller)
        await self.extractor.plan(options)
        row = {
            "owner_id": caller.id,
            "key_id": caller.key_id,
            "wish": asdict(options),
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
        """Return a batch with the state and result of each text.

        Raises:
            NotFoundError: the caller has no such batch.
        """
        caller.require(Scope.EXTRACTIONS)
        async with self.database.transaction() as session:
            batch = _found(await repository.find(session, caller.id, batch_id))
            items = await repository.list_items(session, batch.id)
            return Batch(batch, items, await self.jobs.find(session, batch.job_id))

    async def _complete(
        self, options: ExtractionOptions, prompt: PromptChoice | None, caller: Caller
    ) -> ExtractionOptions:
        """Add the token limit and the filled-in prompt now, since both may have changed when the job runs."""
        filled = await self.prompts.fill(prompt, caller=caller) if prompt else None
        return replace(options, max_tokens=self.extractor.usage.longest_answer(caller=caller), prompt=filled)

    def _check_length(self, text: str) -> None:
        most = self.extractor.settings.max_characters
        if len(text) > most:
            raise UnprocessableError(f"A text may have at most {most:,} characters here.")


def failure_of(outcome: Outcome) -> ExtractionFailedError:
    """Build the error for an outcome with faults; it does not contain the model's answer."""
    times = "once" if outcome.attempts == 1 else f"{outcome.attempts} times"
    detail = f"The language model was asked {times} and gave no answer that fits the schema."
    return ExtractionFailedError(detail, faults=outcome.faults)


def _found(batch: ExtractionBatch | None) -> ExtractionBatch:
    if batch is None:
        raise NotFoundError("There is no such batch.")
    return batch
