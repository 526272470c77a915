"""How reviewers work."""

from pydantic import BaseModel, ConfigDict, Field


class ReviewsSettings(BaseModel):
    """Limits of reviews."""

    model_config = ConfigDict(extra="forbid")

    lease: float = Field(default=1800, gt=0, description="seconds that a claimed item is kept for who claimed it")
    max_refusals: int = Field(
        default=100, ge=0, description="of one owner's requests and answers that guardrails refused, waiting at a time"
    )
