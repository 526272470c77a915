"""The table of predictions."""

from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Record


class Prediction(Record):
    """A prediction for one input; of the input only the checksum is stored."""

    __tablename__ = "predictions"
    __table_args__ = (
        Index("ix_predictions_owner_id_created_at", "owner_id", "created_at", "id"),
        Index("ix_predictions_created_at", "created_at"),
    )

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    endpoint: Mapped[str]
    model: Mapped[str]
    version: Mapped[str]
    input_sha256: Mapped[str]
    outputs: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
