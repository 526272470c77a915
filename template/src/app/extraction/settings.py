"""Settings for extractions."""

from pydantic import BaseModel, ConfigDict, Field

MOST_ITEMS = 10_000  # of a batch; upper bound for the setting


class ExtractionSettings(BaseModel):
    """Limits of extraction."""

    model_config = ConfigDict(extra="forbid")

    max_attempts: int = Field(default=3, ge=1, description="most answers of the model per text")
    max_characters: int = Field(default=100_000, ge=1, description="longest text")
    max_output_tokens: int = Field(default=4096, ge=1, description="longest answer")
    max_items: int = Field(default=100, ge=1, le=MOST_ITEMS, description="most texts in one batch")
    batch_concurrency: int = Field(default=4, ge=1, description="texts of one batch that are processed concurrently")
