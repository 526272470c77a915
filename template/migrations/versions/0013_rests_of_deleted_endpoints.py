"""The remaining pauses of deleted webhook endpoints."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    owner = sa.ForeignKey("accounts.id", name="fk_webhook_rests_owner_id_accounts", ondelete="CASCADE")
    op.create_table(
        "webhook_rests",
        sa.Column("owner_id", sa.Uuid(), owner, primary_key=True),
        sa.Column("rests_until", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("webhook_rests")
