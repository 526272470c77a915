"""How long answers from documents may be."""

from pydantic import BaseModel, ConfigDict, Field


class AnswersSettings(BaseModel):
    """Limits of answers from documents."""

    model_config = ConfigDict(extra="forbid")

    max_tokens: int = Field(default=4096, ge=1, description="of one answer, with what a model thinks before it writes")
