"""The table of prompts."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Record


class PromptState(StrEnum):
    """The state of a version; requests without a version use the active one."""

    DRAFT = "draft"
    ACTIVE = "active"
    RETIRED = "retired"


class Prompt(Record):
    """One version of a prompt. Prompts belong to the service; `author_id` is the account that wrote the version.

    The text of a version never changes, so the name and version recorded with an answer identify its prompt.
    """

    __tablename__ = "prompts"
    __table_args__ = (
        Index("ix_prompts_created_at", "created_at", "id"),
        Index("uq_prompts_active", "name", unique=True, postgresql_where=text("state = 'active'")),
        UniqueConstraint("author_id", "idempotency_key"),
        UniqueConstraint("name", "version"),
    )

    author_id: Mapped[UUID | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"))
    name: Mapped[str]
    version: Mapped[int]
    text: Mapped[str]
    variables: Mapped[list[str]] = mapped_column(ARRAY(String))
    state: Mapped[str] = mapped_column(server_default=PromptState.DRAFT)
    idempotency_key: Mapped[str | None]
