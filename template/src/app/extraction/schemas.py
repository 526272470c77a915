"""Extractions on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.config import JsonDict

from app.chat.ports import DEFAULT
from app.extraction.extractor import Outcome, Wish
from app.extraction.models import ItemState
from app.extraction.service import Batch
from app.extraction.settings import MOST_ITEMS
from app.jobs.schemas import JobRead
from app.payloads import JsonObject, Payload
from app.problems import FieldProblem
from app.prompts.schemas import PromptUse

LONGEST_INSTRUCTIONS = 4000

Text = Annotated[str, StringConstraints(min_length=1)]

EXAMPLE: JsonDict = {
    "text": "Invoice 2041 of 3 May: two lamps, 84.50 in total.",
    "schema": {
        "type": "object",
        "properties": {"number": {"type": "string"}, "total": {"type": "number"}},
        "required": ["number", "total"],
        "additionalProperties": False,
    },
}


class ExtractionWish(Payload):
    """What is to be done with a text."""

    schema_: JsonObject = Field(alias="schema", description="JSON Schema (draft 2020-12) of an object")
    instructions: str | None = Field(
        default=None, max_length=LONGEST_INSTRUCTIONS, description="what the schema does not say", examples=[None]
    )
    prompt: PromptUse | None = Field(
        default=None, description="instead of `instructions`: a stored one, filled in once", examples=[None]
    )
    model: str | None = Field(default=None, description="one of /v1/models; the default if not given", examples=[None])
    max_attempts: int | None = Field(
        default=None, ge=1, description="answers that the model may give; as many as the service allows if not given"
    )

    on_failure: Literal["error", "review"] = Field(
        default="error", description="what becomes of an answer that never fits: an error, or an item for reviewers"
    )

    @model_validator(mode="after")
    def _check_instructions(self) -> Self:
        if self.instructions is not None and self.prompt is not None:
            raise ValueError("send either instructions or prompt")
        return self

    def as_wish(self) -> Wish:
        """Say the same in the terms of the service."""
        return Wish(self.schema_, self.instructions, self.model or DEFAULT, self.max_attempts, self.on_failure)


class ExtractionCreate(ExtractionWish):
    """A text, and the shape of the data that is wanted from it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    text: Text


class ExtractionBatchCreate(ExtractionWish):
    """Texts, and the shape of the data that is wanted from each."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [EXAMPLE["text"]], "schema": EXAMPLE["schema"]}]}
    )

    items: list[Text] = Field(min_length=1, max_length=MOST_ITEMS, fail_fast=True)


class ExtractionUsage(BaseModel):
    """Tokens of all attempts together."""

    model_config = ConfigDict(from_attributes=True)

    input_tokens: int = Field(examples=[412])
    output_tokens: int = Field(examples=[23])
    cached_tokens: int = Field(description="those of the input that the provider had in its cache", examples=[0])


class ExtractionRead(BaseModel):
    """Data that fits the schema."""

    data: dict[str, Any] = Field(examples=[{"number": "2041", "total": 84.5}])
    model: str = Field(description="who answered", examples=["openai:gpt-5"])
    attempts: int = Field(description="answers that it took", examples=[1])
    usage: ExtractionUsage
    prompt_name: str | None = Field(default=None, description="the stored prompt that it was made by", examples=[None])
    prompt_version: int | None = Field(default=None, examples=[None])

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """Put an outcome without faults on the wire."""
        return cls(
            data=outcome.data,
            model=outcome.model,
            attempts=outcome.attempts,
            usage=ExtractionUsage.model_validate(outcome.usage),
            prompt_name=outcome.prompt.name if outcome.prompt else None,
            prompt_version=outcome.prompt.version if outcome.prompt else None,
        )


class ItemFailure(BaseModel):
    """Why there is no data."""

    code: str = Field(examples=["extraction_failed"])
    detail: str
    errors: list[FieldProblem] = Field(description="where the last answer does not fit")


class ExtractionItemRead(BaseModel):
    """What has become of one text."""

    index: int = Field(description="its place in the request, from 0")
    state: ItemState
    extraction: ExtractionRead | None = Field(description="when it is done")
    error: ItemFailure | None = Field(description="when it has failed")
    review_id: UUID | None = Field(description="when a reviewer is to decide; what is released stands there")


class ExtractionBatchAccepted(BaseModel):
    """A batch that is being worked on; read it under its `id`, or follow `job`."""

    id: UUID
    job: JobRead | None


class ExtractionBatchRead(BaseModel):
    """A batch, its texts in the order in which they came."""

    id: UUID
    created_at: datetime
    job: JobRead | None
    items: list[ExtractionItemRead]

    @classmethod
    def of(cls, found: Batch) -> Self:
        """Put a batch on the wire."""
        items = [
            ExtractionItemRead(
                index=item.position,
                state=ItemState(item.state),
                extraction=ExtractionRead.model_validate(item.result) if item.state == ItemState.DONE else None,
                error=ItemFailure.model_validate(item.result) if item.state == ItemState.FAILED else None,
                review_id=item.result["review_id"] if item.result and item.state == ItemState.IN_REVIEW else None,
            )
            for item in found.items
        ]
        job = JobRead.model_validate(found.job) if found.job else None
        return cls(id=found.batch.id, created_at=found.batch.created_at, job=job, items=items)
