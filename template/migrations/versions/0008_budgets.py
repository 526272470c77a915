"""Costs of usage, and budgets."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

MONEY = sa.Numeric(24, 12)


def owner(table: str, *, primary_key: bool = False) -> sa.Column[object]:
    """Return the column for a row's account; deleting the account deletes the row."""
    key = sa.ForeignKey("accounts.id", name=f"fk_{table}_owner_id_accounts", ondelete="CASCADE")
    return sa.Column("owner_id", sa.Uuid(), key, primary_key=primary_key, nullable=False)


def upgrade() -> None:
    """Create the tables and the column."""
    op.add_column("usage_records", sa.Column("cost", MONEY))
    op.create_table("budgets", owner("budgets", primary_key=True), sa.Column("amount", MONEY))
    op.create_table(
        "monthly_spendings",
        owner("monthly_spendings", primary_key=True),
        sa.Column("month", sa.Date(), primary_key=True),
        sa.Column("spent", MONEY, nullable=False),
        sa.Column("reserved", MONEY, nullable=False),
    )
    op.create_table(
        "reservations",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
        owner("reservations"),
        sa.Column("key_id", sa.Uuid()),
        sa.Column("endpoint", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("cost", MONEY),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_reservations_owner_id_expires_at", "reservations", ["owner_id", "expires_at"])


def downgrade() -> None:
    """Drop the tables and the column."""
    op.drop_table("reservations")
    op.drop_table("monthly_spendings")
    op.drop_table("budgets")
    op.drop_column("usage_records", "cost")
