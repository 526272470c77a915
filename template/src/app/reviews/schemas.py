"""Wire types of reviews."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.payloads import AnyJson, Payload
from app.reviews.models import ReviewState

LONGEST_NOTE = 2000

Version = Annotated[int, Field(ge=1, le=2**31 - 2, description="of the item as you have read it")]


class ReviewSummary(BaseModel):
    """An item of the review queue, without what is in it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    owner_id: UUID
    kind: str = Field(examples=["extraction"])
    reason: str = Field(description="why a person should look at it")
    state: ReviewState
    version: int = Field(description="grows with every change; send it with your decision")
    claimed_by: UUID | None = Field(description="account of the reviewer who has, or had, the item")
    claimed_until: datetime | None = Field(description="when others may claim it, too")
    decided_at: datetime | None
    note: str | None = Field(description="what the reviewer says about a rejection")
    created_at: datetime


class ReviewRead(ReviewSummary):
    """An item of the review queue."""

    given: Any = Field(description="what the service was asked")
    output: Any = Field(description="what came of it")
    result: Any | None = Field(description="what a reviewer has released; null before that")


class ReviewDecision(Payload):
    """A decision about the item that was read."""

    version: Version


class ReviewCorrection(ReviewDecision):
    """A correction, which is released instead of the output."""

    result: AnyJson = Field(examples=[{"number": "2041", "total": 84.5}])


class ReviewRejection(ReviewDecision):
    """A rejection with its reason."""

    note: Annotated[str, StringConstraints(max_length=LONGEST_NOTE)] | None = Field(
        default=None, description="for the owner", examples=[None]
    )
