"""Passage vectors, with the index of the embedding model that comes with the service."""

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import HALFVEC

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; the table is empty, so its index is built at once."""
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
    # Indexes of other models are made by `app migrate` when they are configured.
    op.execute(
        "CREATE INDEX hnsw_static_minilm_1_ba92c5b3 ON passage_vectors "
        "USING hnsw ((embedding::halfvec(160)) halfvec_cosine_ops) WHERE model = 'static-minilm@1'"
    )


def downgrade() -> None:
    """Drop the table; the extension stays, because something else may use it."""
    op.drop_table("passage_vectors", if_exists=True)
