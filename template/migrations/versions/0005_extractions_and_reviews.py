"""Batches of extractions, and reviews."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "extraction_batches",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        _reference("owner_id", "extraction_batches", "accounts"),
        sa.Column("key_id", sa.Uuid()),
        _reference("job_id", "extraction_batches", "jobs", ondelete="SET NULL", nullable=True),
        sa.Column("wish", sa.JSON(), nullable=False),
        sa.Column("idempotency_key", sa.String()),
        sa.UniqueConstraint("owner_id", "idempotency_key", name="uq_extraction_batches_owner_id_idempotency_key"),
    )
    op.create_table(
        "extraction_items",
        _reference("batch_id", "extraction_items", "extraction_batches"),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("result", sa.JSON()),
        sa.PrimaryKeyConstraint("batch_id", "position", name="pk_extraction_items"),
    )
    _create_reviews()


def downgrade() -> None:
    """Drop the tables."""
    for table in ("reviews", "extraction_items", "extraction_batches"):
        op.drop_table(table)


def _create_reviews() -> None:
    op.create_table(
        "reviews",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        _reference("owner_id", "reviews", "accounts"),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("given", sa.JSON(), nullable=False),
        sa.Column("output", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON()),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        _reference("claimed_by", "reviews", "accounts", ondelete="SET NULL", nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True)),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.Column("note", sa.String()),
    )
    op.create_index("ix_reviews_owner_id_created_at", "reviews", ["owner_id", "created_at", "id"])
    op.create_index("ix_reviews_state_created_at", "reviews", ["state", "created_at", "id"])


def _reference(
    column: str, table: str, to: str, *, ondelete: str = "CASCADE", nullable: bool = False
) -> sa.Column[object]:
    reference = sa.ForeignKey(f"{to}.id", name=f"fk_{table}_{column}_{to}", ondelete=ondelete)
    return sa.Column(column, sa.Uuid(), reference, nullable=nullable)
