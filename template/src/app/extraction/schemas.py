"""Request and response schemas of extractions."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.config import JsonDict

from app.chat.ports import DEFAULT
from app.extraction.extractor import ExtractionOptions, Outcome
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


class ExtractionRequest(Payload):
    """The options of an extraction."""

    schema_: JsonObject = Field(alias="schema", description="JSON Schema (draft 2020-12) of an object")
    instructions: str | None = Field(
        default=None, max_length=LONGEST_INSTRUCTIONS, description="what the schema does not say", examples=[None]
    )
    prompt: PromptUse | None = Field(
        default=None, description="a stored prompt instead of `instructions`", examples=[None]
    )
    model: str | None = Field(default=None, description="one of /v1/models; the default if not given", examples=[None])
    max_attempts: int | None = Field(
        default=None, ge=1, description="most answers of the model per text; the service's limit if not given"
    )

    on_failure: Literal["error", "review"] = Field(
        default="error", description="what happens if no answer matches the schema: an error or a review"
    )

    @model_validator(mode="after")
    def _check_instructions(self) -> Self:
        if self.instructions is not None and self.prompt is not None:
            raise ValueError("send either instructions or prompt")
        return self

    def as_options(self) -> ExtractionOptions:
        """Convert to the service's type."""
        model = self.model or DEFAULT
        return ExtractionOptions(self.schema_, self.instructions, model, self.max_attempts, self.on_failure)


class ExtractionCreate(ExtractionRequest):
    """A text, and the JSON Schema of the data to extract."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    text: Text


class ExtractionBatchCreate(ExtractionRequest):
    """Texts, and the JSON Schema of the data to extract from each."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [EXAMPLE["text"]], "schema": EXAMPLE["schema"]}]}
    )

    items: list[Text] = Field(min_length=1, max_length=MOST_ITEMS, fail_fast=True)


class ExtractionUsage(BaseModel):
    """Tokens of all attempts together."""

    model_config = ConfigDict(from_attributes=True)

    input_tokens: int = Field(examples=[412])
    output_tokens: int = Field(examples=[23])
    cached_tokens: int = Field(description="input tokens that the provider read from its cache", examples=[0])


class ExtractionRead(BaseModel):
    """Extracted data, which matches the schema."""

    data: dict[str, Any] = Field(examples=[{"number": "2041", "total": 84.5}])
    model: str = Field(description="the model that answered", examples=["openai:gpt-5"])
    attempts: int = Field(description="number of answers", examples=[1])
    usage: ExtractionUsage
    prompt_name: str | None = Field(default=None, description="the stored prompt that was used", examples=[None])
    prompt_version: int | None = Field(default=None, examples=[None])

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """Build the response from an outcome without faults."""
        return cls(
            data=outcome.data,
            model=outcome.model,
            attempts=outcome.attempts,
            usage=ExtractionUsage.model_validate(outcome.usage),
            prompt_name=outcome.prompt.name if outcome.prompt else None,
            prompt_version=outcome.prompt.version if outcome.prompt else None,
        )


class ItemFailure(BaseModel):
    """Why the extraction failed."""

    code: str = Field(examples=["extraction_failed"])
    detail: str
    errors: list[FieldProblem] = Field(description="where the last answer does not match the schema")


class ExtractionItemRead(BaseModel):
    """State and result of one text."""

    index: int = Field(description="position of the text in the request, from 0")
    state: ItemState
    extraction: ExtractionRead | None = Field(description="the result, if the state is `done`")
    error: ItemFailure | None = Field(description="the error, if the state is `failed`")
    review_id: UUID | None = Field(
        description="the review, if the state is `in_review`; it also has the result that a reviewer releases"
    )


class ExtractionBatchAccepted(BaseModel):
    """An accepted batch: poll it by its `id`, or follow its `job`."""

    id: UUID
    job: JobRead | None


class ExtractionBatchRead(BaseModel):
    """A batch with its texts in the order of the request."""

    id: UUID
    created_at: datetime
    job: JobRead | None
    items: list[ExtractionItemRead]

    @classmethod
    def of(cls, found: Batch) -> Self:
        """Build the response from a batch."""
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
