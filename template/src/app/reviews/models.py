"""The table of reviews."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Record


class ReviewState(StrEnum):
    """The state of a review."""

    OPEN = "open"
    CLAIMED = "claimed"
    APPROVED = "approved"
    CORRECTED = "corrected"
    REJECTED = "rejected"


class Review(Record):
    """An item in the review queue.

    `given` and `output` are the feature's input and output; `result` is what a reviewer released to the owner.
    A claim lasts until `claimed_until`, and after that until another reviewer claims the item. `version` grows with
    every change; a decision must have the version that the reviewer saw.
    """

    __tablename__ = "reviews"
    __table_args__ = (
        Index("ix_reviews_owner_id_created_at", "owner_id", "created_at", "id"),
        Index("ix_reviews_state_created_at", "state", "created_at", "id"),
    )

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    kind: Mapped[str]
    reason: Mapped[str]
    given: Mapped[Any] = mapped_column(JSON)
    output: Mapped[Any] = mapped_column(JSON)
    result: Mapped[Any | None] = mapped_column(JSON(none_as_null=True))
    state: Mapped[str] = mapped_column(default=ReviewState.OPEN)
    version: Mapped[int] = mapped_column(default=1)
    claimed_by: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"))
    claimed_until: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]
    note: Mapped[str | None]
