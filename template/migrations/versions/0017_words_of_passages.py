"""Search passages by words."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

INDEX = "ix_passages_owner_id_words"


def upgrade() -> None:
    """Copy the owner to passages that have none, and index the words of each owner's passages."""
    # Allows one index on both owners and words.
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gin")
    op.execute(
        "UPDATE passages SET owner_id = documents.owner_id FROM documents "
        "WHERE documents.id = passages.document_id AND passages.owner_id IS NULL"
    )
    words = sa.text("to_tsvector('simple', text)")
    op.create_index(INDEX, "passages", ["owner_id", words], postgresql_using="gin")


def downgrade() -> None:
    """Drop the index; the extension stays, because something else may use it."""
    op.drop_index(INDEX, "passages")
