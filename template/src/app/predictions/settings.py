"""Settings of recorded predictions."""

from pydantic import BaseModel, ConfigDict, Field


class PredictionsSettings(BaseModel):
    """Settings for recording predictions."""

    model_config = ConfigDict(extra="forbid")

    keep: bool = Field(default=False, description="record the predictions that callers receive")
    retention_days: int = Field(default=30, ge=1, le=36_500, description="days after which predictions are deleted")
