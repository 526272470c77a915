"""Request and response schemas of prompts."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.payloads import Payload
from app.prompts.models import PromptState
from app.prompts.service import PromptChoice
from app.prompts.templates import VARIABLE

LONGEST_TEXT = 16_000
LONGEST_VALUE = 4_000
MOST_VARIABLES = 50
NEWEST_VERSION = 2**31 - 1

PromptName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
Version = Annotated[int, Field(ge=1, le=NEWEST_VERSION)]
Variable = Annotated[str, StringConstraints(pattern=VARIABLE)]


class PromptCreate(Payload):
    """The next version of a prompt, as a draft."""

    name: PromptName = Field(examples=["support"])
    text: str = Field(
        min_length=1,
        max_length=LONGEST_TEXT,
        pattern=r"\S",
        description="text with variables in braces; write a literal brace twice",
        examples=["You help customers of {company}. Be brief."],
    )
    variables: set[Variable] = Field(
        default_factory=set,
        max_length=MOST_VARIABLES,
        fail_fast=True,
        description="the variables in the text",
        examples=[["company"]],
    )


class PromptRead(BaseModel):
    """One version of a prompt."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    name: str = Field(examples=["support"])
    version: int = Field(examples=[1])
    text: str = Field(examples=["You help customers of {company}. Be brief."])
    variables: list[str] = Field(examples=[["company"]])
    state: PromptState = Field(description="requests without a version use the active one")
    created_at: datetime


class PromptUse(Payload):
    """The prompt to use and its variables."""

    name: PromptName = Field(examples=["support"])
    version: Version | None = Field(default=None, description="the active one if not given", examples=[None])
    variables: dict[Variable, Annotated[str, StringConstraints(max_length=LONGEST_VALUE)]] = Field(
        default_factory=dict, max_length=MOST_VARIABLES, fail_fast=True, examples=[{"company": "Acme"}]
    )

    def as_choice(self) -> PromptChoice:
        """Convert to the service's type."""
        return PromptChoice(self.name, self.version, self.variables)
