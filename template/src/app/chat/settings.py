"""Settings for chat completions and the answer cache."""

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_REQUESTS = 1000  # of a batch; upper bound for the setting


class ChatSettings(BaseModel):
    """Limits of chat completions."""

    model_config = ConfigDict(extra="forbid")

    max_output_tokens: int = Field(
        default=4096, ge=1, description="of one answer: the largest value that callers may request, and the default"
    )
    batch_requests: int = Field(default=32, ge=1, le=MOST_REQUESTS, description="most requests in one batch")
    batch_bytes: int = Field(default=2_000_000, ge=1, description="largest body of one batch")
    batch_concurrency: int = Field(default=4, ge=1, description="requests of one batch that run concurrently")


class AnswerCacheSettings(BaseModel):
    """Settings for the answer cache. Times are in seconds."""

    model_config = ConfigDict(extra="forbid")

    max_ttl: int = Field(
        default=0, ge=0, le=2_592_000, description="longest lifetime of cached answers; 0 disables the cache"
    )
    ttl: int = Field(default=600, ge=1, description="lifetime if the request sets none")
    aliases: list[str] = Field(default=[], description="models whose answers at temperature 0 are cached by default")
    max_bytes: int = Field(default=100_000, ge=1, description="largest answer that is cached")
    longest_wait: float = Field(default=30, ge=0, description="wait for an identical request that is being answered")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.aliases and not self.max_ttl:
            raise ValueError("to cache the answers of aliases, also set APP_ANSWER_CACHE__MAX_TTL")
        return self
