"""Passage vectors, and the index for the embedding model that ships with the service."""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and its indexes, which are built at once because the table is empty."""
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.create_table(
        "passage_vectors",
        sa.Column("passage_id", sa.Uuid(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("embedding", HALFVEC(), nullable=False),
        sa.PrimaryKeyConstraint("passage_id", "model", name="pk_passage_vectors"),
    )
    op.create_index("ix_passage_vectors_document_id", "passage_vectors", ["document_id"])
    op.create_index("ix_passage_vectors_owner_id_model", "passage_vectors", ["owner_id", "model"])
    # `app migrate` creates the indexes of other models when they are configured.
    op.execute(
        "CREATE INDEX hnsw_static_minilm_1_ba92c5b3 ON passage_vectors "
        "USING hnsw ((embedding::halfvec(160)) halfvec_cosine_ops) WHERE model = 'static-minilm@1'"
    )


def downgrade() -> None:
    """Drop the table; the extension stays, because something else may use it."""
    op.drop_table("passage_vectors", if_exists=True)
