"""The table of what was used."""

from uuid import UUID

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Record


class UsageRecord(Record):
    """One use of a language model. The key is kept by its id alone: the account outlives it."""

    __tablename__ = "usage_records"
    __table_args__ = (Index("ix_usage_records_owner_id_created_at", "owner_id", "created_at"),)

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    key_id: Mapped[UUID | None]
    endpoint: Mapped[str]
    model: Mapped[str]
    input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    cached_tokens: Mapped[int]
    estimated: Mapped[bool]
    finish_reason: Mapped[str]
    first_token_seconds: Mapped[float | None]
    seconds: Mapped[float]
    prompt_name: Mapped[str | None]
    prompt_version: Mapped[int | None]
