"""The index that tells which owners' jobs wait."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

NAME = "ix_jobs_turns"


def upgrade() -> None:
    """Create the index; it holds unfinished jobs alone, so that writing waits no longer than one look at each job."""
    unfinished = sa.text("finished_at IS NULL")
    op.create_index(NAME, "jobs", ["state", "owner_id", "run_after"], postgresql_where=unfinished)


def downgrade() -> None:
    """Drop it."""
    op.drop_index(NAME, "jobs")
