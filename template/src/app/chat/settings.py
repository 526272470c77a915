"""What callers may ask of the language model."""

from pydantic import BaseModel, ConfigDict, Field


class ChatSettings(BaseModel):
    """Limits of chat completions."""

    model_config = ConfigDict(extra="forbid")

    max_output_tokens: int = Field(
        default=4096, ge=1, description="of one answer: the most that a caller may ask for, and what others get"
    )
