"""Request and response schemas of jobs."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.jobs.models import JobState


class JobRead(BaseModel):
    """A background job."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: str = Field(examples=["documents.ingest"])
    state: JobState
    progress: float = Field(ge=0, le=1, description="progress of the current attempt, 0 to 1")
    attempt: int = Field(
        ge=0, description="attempts so far, except those that failed because a dependency was unavailable"
    )
    error: str | None = Field(description="why the last attempt failed")
    created_at: datetime
