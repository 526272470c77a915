"""What callers may ask of the language model, and which answers are kept."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_REQUESTS = 1000  # of a batch, whatever the operator sets


class ChatSettings(BaseModel):
    """Limits of chat completions."""

    model_config = ConfigDict(extra="forbid")

    max_output_tokens: int = Field(
        default=4096, ge=1, description="of one answer: the most that a caller may ask for, and what others get"
    )
    batch_requests: int = Field(default=32, ge=1, le=MOST_REQUESTS, description="requests of one batch")
    batch_bytes: int = Field(default=2_000_000, ge=1, description="of the body of one batch")
    batch_concurrency: int = Field(default=4, ge=1, description="requests of one batch that are answered together")


class AnswerCacheSettings(BaseModel):
    """Which answers are kept, to be given again to who asks the same. Times are in seconds."""

    model_config = ConfigDict(extra="forbid")

    max_ttl: int = Field(
        default=0, ge=0, le=2_592_000, description="the longest that callers may have answers kept; 0 keeps none"
    )
    ttl: int = Field(default=600, ge=1, description="where a request names no time")
    aliases: list[str] = Field(
        default=[], description="models whose answers at temperature 0 are kept without being asked to"
    )
    max_bytes: int = Field(default=100_000, ge=1, description="of one answer; larger ones are not kept")
    longest_wait: float = Field(default=30, ge=0, description="for another request that is getting the same answer")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.aliases and not self.max_ttl:
            raise ValueError("to keep the answers of aliases, set APP_ANSWER_CACHE__MAX_TTL, too")
        return self
