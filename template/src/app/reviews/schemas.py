"""Request and response schemas of reviews."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.payloads import AnyJson, Payload
from app.reviews.models import ReviewState

LONGEST_NOTE = 2000

Version = Annotated[int, Field(ge=1, le=2**31 - 2, description="version of the item that you have read")]


class ReviewSummary(BaseModel):
    """An item of the review queue without its contents."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    owner_id: UUID
    kind: str = Field(examples=["extraction"])
    reason: str = Field(description="why the item needs a review")
    state: ReviewState
    version: int = Field(description="grows with every change; send it with your decision")
    claimed_by: UUID | None = Field(description="account of the reviewer who claimed the item last")
    claimed_until: datetime | None = Field(description="when the claim expires and others may claim the item")
    decided_at: datetime | None
    note: str | None = Field(description="the reviewer's reason for a rejection")
    created_at: datetime


class ReviewRead(ReviewSummary):
    """An item of the review queue."""

    given: Any = Field(description="input of the feature")
    output: Any = Field(description="output of the feature")
    result: Any | None = Field(description="the result that a reviewer released; null before that")


class ReviewDecision(Payload):
    """A decision about the item that was read."""

    version: Version


class ReviewCorrection(ReviewDecision):
    """A correction to release instead of the output."""

    result: AnyJson = Field(examples=[{"number": "2041", "total": 84.5}])


class ReviewRejection(ReviewDecision):
    """A rejection with its reason."""

    note: Annotated[str, StringConstraints(max_length=LONGEST_NOTE)] | None = Field(
        default=None, description="for the owner", examples=[None]
    )
