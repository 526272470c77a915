"""How much callers may use."""

from pydantic import BaseModel, ConfigDict, Field


class LimitsSettings(BaseModel):
    """Limits on the use of language models; 0 is no limit."""

    model_config = ConfigDict(extra="forbid")

    requests_per_minute: int = Field(default=0, ge=0, description="of one account")
    tokens_per_minute: int = Field(
        default=0, ge=0, description="of one account, read and written; at least the longest answer"
    )
    concurrent_calls: int = Field(default=512, ge=0, description="of one process to language models")
    longest_wait: float = Field(default=10, ge=0, description="seconds that a call waits for others to end")
