"""An index for finding the owners whose jobs wait."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NAME = "ix_jobs_turns"


def upgrade() -> None:
    """Create the index; it covers only unfinished jobs, so writes wait no longer than one scan of the table."""
    unfinished = sa.text("finished_at IS NULL")
    op.create_index(NAME, "jobs", ["state", "owner_id", "run_after"], postgresql_where=unfinished)


def downgrade() -> None:
    """Drop the index."""
    op.drop_index(NAME, "jobs")
