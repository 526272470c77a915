"""The tables of extraction batches and their texts.

Content of callers and models is stored as `JSON`, because `JSONB` cannot store every JSON string.
"""

from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Record, Table


class ItemState(StrEnum):
    """The state of a text in a batch."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    IN_REVIEW = "in_review"


class ExtractionBatch(Record):
    """A batch of texts; `wish` has the extraction options that apply to each."""

    __tablename__ = "extraction_batches"
    __table_args__ = (
        Index("ix_extraction_batches_job_id", "job_id"),
        UniqueConstraint("owner_id", "idempotency_key"),
    )

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    key_id: Mapped[UUID | None]
    job_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    wish: Mapped[dict[str, Any]] = mapped_column(JSON)
    idempotency_key: Mapped[str | None]


class ExtractionItem(Table):
    """A text of a batch; `result` is null while it waits, then the data, the error, or the ID of the review."""

    __tablename__ = "extraction_items"

    batch_id: Mapped[UUID] = mapped_column(ForeignKey("extraction_batches.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str]
    state: Mapped[str]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
