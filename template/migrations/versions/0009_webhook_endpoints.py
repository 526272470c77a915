"""Webhook endpoints."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    owner = sa.ForeignKey("accounts.id", name="fk_webhook_endpoints_owner_id_accounts", ondelete="CASCADE")
    op.create_table(
        "webhook_endpoints",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        sa.Column("owner_id", sa.Uuid(), owner, nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("events", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True)),
    )
    columns = ["owner_id", "created_at", "id"]
    op.create_index("ix_webhook_endpoints_owner_id_created_at", "webhook_endpoints", columns)


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("webhook_endpoints")
