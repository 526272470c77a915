"""Passage vectors: they are in Qdrant, so there is nothing to do in SQL.

The revision is here so that the chain, and your own migrations after it, stay whole when the vector store is changed.
"""

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do nothing."""


def downgrade() -> None:
    """Do nothing."""
