"""Settings for reviews."""

from pydantic import BaseModel, ConfigDict, Field


class ReviewsSettings(BaseModel):
    """Limits of reviews."""

    model_config = ConfigDict(extra="forbid")

    lease: float = Field(default=1800, gt=0, description="seconds for which a claim lasts")
    max_refusals: int = Field(
        default=100, ge=0, description="most guardrail refusals of one owner that wait for review"
    )
