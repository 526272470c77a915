"""Passage vectors are in Qdrant, so there is nothing to do in SQL.

This revision keeps the chain, with your own migrations after it, intact if you change the vector store.
"""

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Do nothing."""


def downgrade() -> None:
    """Do nothing."""
