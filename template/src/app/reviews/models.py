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
    """An item that waits for a person's decision.

    `given` and `output` are what the feature got and what came of it; `result` is what was released to the owner.
    A claim holds until `claimed_until`, and longer if nobody else wants the item. `version` grows with every change:
    whoever decides names the one that was seen.
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
