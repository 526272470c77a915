"""Response schemas of predictions."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class PredictionRead(BaseModel):
    """A recorded prediction for one input."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    endpoint: str = Field(
        description="`classifications`, `detections`, `embeddings` or `inference`", examples=["classifications"]
    )
    model: str = Field(examples=["static-minilm"])
    version: str = Field(examples=["1"])
    input_sha256: str = Field(
        description="SHA-256 of the text in UTF-8, of token ids as a JSON array without spaces, of the picture file, "
        "or of the request body (`inference`)",
        examples=["ab530a13e45914982b79f9b7e3fba994cfd1f3fb22f71cea1afbf02b460c6d1d"],
    )
    outputs: Any | None = Field(
        description="scores by label, detections, the shape of an embedding, or tensors; null if too large to record",
        examples=[{"scores": {"complaint": 0.81, "praise": 0.19}}],
    )
    created_at: datetime
