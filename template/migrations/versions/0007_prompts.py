"""Prompts, and the prompt that each answer used."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

WRITTEN_UNDER = ("conversations", "conversation_messages", "usage_records")


def upgrade() -> None:
    """Create the table and the columns."""
    author = sa.ForeignKey("accounts.id", name="fk_prompts_author_id_accounts", ondelete="SET NULL")
    op.create_table(
        "prompts",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("author_id", sa.Uuid(), author),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("variables", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("state", sa.String(), nullable=False, server_default="draft"),
        sa.Column("idempotency_key", sa.String()),
        sa.UniqueConstraint("author_id", "idempotency_key", name="uq_prompts_author_id_idempotency_key"),
        sa.UniqueConstraint("name", "version", name="uq_prompts_name_version"),
    )
    op.create_index("ix_prompts_created_at", "prompts", ["created_at", "id"])
    active = sa.text("state = 'active'")
    op.create_index("uq_prompts_active", "prompts", ["name"], unique=True, postgresql_where=active)
    for table in WRITTEN_UNDER:
        op.add_column(table, sa.Column("prompt_name", sa.String()))
        op.add_column(table, sa.Column("prompt_version", sa.Integer()))


def downgrade() -> None:
    """Drop the columns and the table."""
    for table in WRITTEN_UNDER:
        op.drop_column(table, "prompt_version")
        op.drop_column(table, "prompt_name")
    op.drop_table("prompts")
