"""Usage of language models."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    owner = sa.ForeignKey("accounts.id", name="fk_usage_records_owner_id_accounts", ondelete="CASCADE")
    op.create_table(
        "usage_records",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("owner_id", sa.Uuid(), owner, nullable=False),
        sa.Column("key_id", sa.Uuid()),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("cached_tokens", sa.Integer(), nullable=False),
        sa.Column("estimated", sa.Boolean(), nullable=False),
        sa.Column("finish_reason", sa.String(), nullable=False),
        sa.Column("first_token_seconds", sa.Float()),
        sa.Column("seconds", sa.Float(), nullable=False),
    )
    op.create_index("ix_usage_records_owner_id_created_at", "usage_records", ["owner_id", "created_at"])


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("usage_records")
