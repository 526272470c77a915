"""Indexes for deleting jobs that ended long ago."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

ENDED = "ix_jobs_finished_at"
# References that deleting a job sets to null; without an index, that would scan the complete table.
REFERENCES = {"ix_documents_job_id": "documents", "ix_extraction_batches_job_id": "extraction_batches"}


def upgrade() -> None:
    """Create the indexes."""
    op.create_index(ENDED, "jobs", ["finished_at"], postgresql_where=sa.text("finished_at IS NOT NULL"))
    for name, table in REFERENCES.items():
        op.create_index(name, table, ["job_id"])


def downgrade() -> None:
    """Drop the indexes."""
    for name, table in REFERENCES.items():
        op.drop_index(name, table)
    op.drop_index(ENDED, "jobs")
