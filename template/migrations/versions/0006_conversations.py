"""Conversations and their messages."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    owner = sa.ForeignKey("accounts.id", name="fk_conversations_owner_id_accounts", ondelete="CASCADE")
    op.create_table(
        "conversations",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("owner_id", sa.Uuid(), owner, nullable=False),
        sa.Column("title", sa.String()),
        sa.Column("system", sa.String()),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("turn", sa.Uuid()),
        sa.Column("turn_until", sa.DateTime(timezone=True)),
        sa.Column("idempotency_key", sa.String()),
        sa.UniqueConstraint("owner_id", "idempotency_key", name="uq_conversations_owner_id_idempotency_key"),
    )
    op.create_index("ix_conversations_owner_id_created_at", "conversations", ["owner_id", "created_at", "id"])
    _create_messages()


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("conversation_messages")
    op.drop_table("conversations")


def _create_messages() -> None:
    name = "fk_conversation_messages_conversation_id_conversations"
    conversation = sa.ForeignKey("conversations.id", name=name, ondelete="CASCADE")
    op.create_table(
        "conversation_messages",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("conversation_id", sa.Uuid(), conversation, nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("content", sa.String(), nullable=False),
        sa.Column("answer_id", sa.Uuid()),
        sa.Column("model", sa.String()),
        sa.Column("finish_reason", sa.String()),
        sa.Column("input_tokens", sa.Integer()),
        sa.Column("output_tokens", sa.Integer()),
        sa.Column("idempotency_key", sa.String()),
        sa.UniqueConstraint(
            "conversation_id", "idempotency_key", name="uq_conversation_messages_conversation_id_idempotency_key"
        ),
    )
    columns = ["conversation_id", "created_at", "id"]
    op.create_index("ix_conversation_messages_conversation_id_created_at", "conversation_messages", columns)
