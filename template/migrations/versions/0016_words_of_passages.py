"""Search passages by words."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

INDEX = "ix_passages_owner_id_words"


def upgrade() -> None:
    """Copy the owner to every passage, and index the words of each owner's passages."""
    # Allows one index on both owners and words.
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gin")
    # Workers of the previous release may still store passages without an owner: only their meaning finds these.
    op.add_column("passages", sa.Column("owner_id", sa.Uuid(), nullable=True))
    op.execute(
        "UPDATE passages SET owner_id = documents.owner_id FROM documents WHERE documents.id = passages.document_id"
    )
    words = sa.text("to_tsvector('simple', text)")
    op.create_index(INDEX, "passages", ["owner_id", words], postgresql_using="gin")


def downgrade() -> None:
    """Drop the index and the column; the extension stays, because something else may use it."""
    op.drop_index(INDEX, "passages")
    op.drop_column("passages", "owner_id")
