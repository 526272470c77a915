"""Settings of recorded predictions."""

from pydantic import BaseModel, ConfigDict, Field


class PredictionsSettings(BaseModel):
    """Whether predictions are recorded, and for how long."""

    model_config = ConfigDict(extra="forbid")

    keep: bool = Field(default=False, description="write down what models told callers")
    retention_days: int = Field(default=30, ge=1, le=36_500, description="days after which that is deleted")
