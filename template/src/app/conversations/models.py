"""The tables of conversations and their messages."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Record


class Conversation(Record):
    """A conversation between a user and a model.

    `turn` is the id of the answer in progress. Until `turn_until`, or until the answer is stored, no other turn can
    begin.
    """

    __tablename__ = "conversations"
    __table_args__ = (
        Index("ix_conversations_owner_id_created_at", "owner_id", "created_at", "id"),
        UniqueConstraint("owner_id", "idempotency_key"),
    )

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    title: Mapped[str | None]
    system: Mapped[str | None]
    model: Mapped[str]
    prompt_name: Mapped[str | None]
    prompt_version: Mapped[int | None]
    turn: Mapped[UUID | None]
    turn_until: Mapped[datetime | None]
    idempotency_key: Mapped[str | None]


class ConversationMessage(Record):
    """A message of a conversation, the user's or the assistant's.

    A user's message has `answer_id`, the id of the answer, which is stored once it has ended. An assistant's message
    has `finish_reason`: the model's own, or `cancelled`, `failed` or `refused`, and then its tokens are unknown.
    """

    __tablename__ = "conversation_messages"
    __table_args__ = (
        Index("ix_conversation_messages_conversation_id_created_at", "conversation_id", "created_at", "id"),
        UniqueConstraint("conversation_id", "idempotency_key"),
    )

    conversation_id: Mapped[UUID] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    role: Mapped[str]
    content: Mapped[str]
    answer_id: Mapped[UUID | None]
    model: Mapped[str | None]
    finish_reason: Mapped[str | None]
    input_tokens: Mapped[int | None]
    output_tokens: Mapped[int | None]
    prompt_name: Mapped[str | None]
    prompt_version: Mapped[int | None]
    idempotency_key: Mapped[str | None]
