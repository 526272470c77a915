"""Settings for answers from documents."""

from pydantic import BaseModel, ConfigDict, Field


class AnswersSettings(BaseModel):
    """Limits of answers from documents."""

    model_config = ConfigDict(extra="forbid")

    max_tokens: int = Field(default=4096, ge=1, description="most tokens of an answer, including the model's reasoning")
