"""Jobs on the wire."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from app.jobs.models import JobState


class JobRead(BaseModel):
    """A piece of durable work."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: str = Field(examples=["documents.ingest"])
    state: JobState
    progress: float = Field(ge=0, le=1, description="how far the current try has come, 0 to 1")
    attempt: int = Field(
        ge=0, description="its tries; none counts that failed because something that the service needs was away"
    )
    error: str | None = Field(description="why the last try failed")
    created_at: datetime
