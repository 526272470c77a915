"""Accounts, keys, jobs, documents and passages."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "accounts",
        *_record(),
        sa.Column("email", sa.String(), nullable=False),
        sa.Column("password_hash", sa.String()),
        sa.Column("is_active", sa.Boolean(), nullable=False, server_default=sa.true()),
        sa.UniqueConstraint("email", name="uq_accounts_email"),
    )
    op.create_table(
        "api_keys",
        *_record(),
        _owner("account_id", "api_keys"),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("prefix", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.UniqueConstraint("digest", name="uq_api_keys_digest"),
    )
    op.create_index("ix_api_keys_account_id_created_at", "api_keys", ["account_id", "created_at", "id"])
    _create_jobs()
    _create_documents()


def downgrade() -> None:
    """Drop the tables."""
    for table in ("passages", "documents", "jobs", "api_keys", "accounts"):
        op.drop_table(table)


def _create_jobs() -> None:
    op.create_table(
        "jobs",
        *_record(),
        _owner("owner_id", "jobs"),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("progress", sa.Float(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("error", sa.String()),
        sa.Column("run_after", sa.DateTime(timezone=True), nullable=False),
        sa.Column("enqueued_at", sa.DateTime(timezone=True)),
        sa.Column("lease", sa.Uuid()),
        sa.Column("lease_until", sa.DateTime(timezone=True)),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
    )
    op.create_index("ix_jobs_owner_id_created_at", "jobs", ["owner_id", "created_at", "id"])
    unfinished = sa.text("finished_at IS NULL")
    op.create_index("ix_jobs_unfinished", "jobs", ["state", "run_after"], postgresql_where=unfinished)


def _create_documents() -> None:
    op.create_table(
        "documents",
        *_record(),
        _owner("owner_id", "documents"),
        sa.Column("job_id", sa.Uuid()),
        sa.Column("filename", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False, server_default="received"),
        sa.Column("error", sa.String()),
        sa.Column("tags", postgresql.ARRAY(sa.String()), nullable=False),
        sa.Column("embedding_model", sa.String()),
        sa.Column("idempotency_key", sa.String()),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name="fk_documents_job_id_jobs", ondelete="SET NULL"),
        sa.UniqueConstraint("owner_id", "idempotency_key", name="uq_documents_owner_id_idempotency_key"),
    )
    op.create_index("ix_documents_owner_id_created_at", "documents", ["owner_id", "created_at", "id"])
    op.create_index("ix_documents_owner_id_embedding_model", "documents", ["owner_id", "embedding_model"])
    op.create_table(
        "passages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("document_id", sa.Uuid(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("start", sa.Integer(), nullable=False),
        sa.Column("end", sa.Integer(), nullable=False),
        sa.Column("page", sa.Integer()),
        sa.PrimaryKeyConstraint("id", name="pk_passages"),
        sa.ForeignKeyConstraint(
            ["document_id"], ["documents.id"], name="fk_passages_document_id_documents", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_passages_document_id", "passages", ["document_id"])


def _record() -> tuple[sa.Column[object], sa.Column[object]]:
    return (
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now()),
    )


def _owner(column: str, table: str) -> sa.Column[object]:
    reference = sa.ForeignKey("accounts.id", name=f"fk_{table}_{column}_accounts", ondelete="CASCADE")
    return sa.Column(column, sa.Uuid(), reference, nullable=False)
