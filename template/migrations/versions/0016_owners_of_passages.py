"""Owners of passages."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the owner to passages; the next migration fills it in, so that searches do not wait for the table's lock."""
    op.add_column("passages", sa.Column("owner_id", sa.Uuid(), nullable=True))
    # Workers of the previous release store passages without an owner until they are replaced.
    op.execute("""
        CREATE FUNCTION copy_owner_to_passage() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            SELECT owner_id INTO NEW.owner_id FROM documents WHERE id = NEW.document_id;
            RETURN NEW;
        END $$
    """)
    op.execute("""
        CREATE TRIGGER copy_owner BEFORE INSERT ON passages
        FOR EACH ROW WHEN (NEW.owner_id IS NULL) EXECUTE FUNCTION copy_owner_to_passage()
    """)


def downgrade() -> None:
    """Drop the column and the trigger."""
    op.execute("DROP TRIGGER copy_owner ON passages")
    op.execute("DROP FUNCTION copy_owner_to_passage")
    op.drop_column("passages", "owner_id")
