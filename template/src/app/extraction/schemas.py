"""Extractions on the wire."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from app.extraction.extractor import Outcome
from app.extraction.service import DEFAULT, Wish

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


class ExtractionWish(BaseModel):
    """What is to be done with a text."""

    model_config = ConfigDict(extra="forbid")

    schema_: dict[str, Any] = Field(alias="schema", description="JSON Schema (draft 2020-12) of an object")
    instructions: str | None = Field(
        default=None, max_length=LONGEST_INSTRUCTIONS, description="what the schema does not say", examples=[None]
    )
    model: str | None = Field(default=None, description="one of /v1/models; the default if not given", examples=[None])
    max_attempts: int | None = Field(
        default=None, ge=1, description="answers that the model may give; as many as the service allows if not given"
    )

    def as_wish(self) -> Wish:
        """Say the same in the terms of the service."""
        return Wish(self.schema_, self.instructions, self.model or DEFAULT, self.max_attempts)


class ExtractionCreate(ExtractionWish):
    """A text, and the shape of the data that is wanted from it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    text: Text


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

    @classmethod
    def of(cls, outcome: Outcome) -> Self:
        """Put an outcome without faults on the wire."""
        return cls(
            data=outcome.data,
            model=outcome.model,
            attempts=outcome.attempts,
            usage=ExtractionUsage.model_validate(outcome.usage),
        )
