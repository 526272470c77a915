"""The trace that a job belongs to."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column."""
    op.add_column("jobs", sa.Column("trace_parent", sa.String()))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("jobs", "trace_parent")
