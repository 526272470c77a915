"""Run migrations on the database in the settings."""

import asyncio
from typing import Literal

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.sql.schema import SchemaItem

# Importing the tables registers them with the metadata that autogenerate compares. `app.tables` imports those of all
# features; the other imports are here so that you can add your own between them.
import app.adapters.vector_store
import app.auth.models
import app.documents.models
import app.jobs.models
import app.tables  # noqa: F401
from app.database import Table
from app.settings import Settings

# How long a migration waits for a table lock, and blocks later statements, before it fails. Then it can be run again.
LOCK_MILLISECONDS = 5_000

ObjectKind = Literal[
    "schema", "table", "column", "index", "unique_constraint", "foreign_key_constraint", "check_constraint"
]


def include_object(_: SchemaItem, name: str | None, kind: ObjectKind, *_rest: object) -> bool:
    """Exclude the vector indexes, one per embedding model, which the vector store manages."""
    return not (kind == "index" and name is not None and name.startswith("hnsw_"))


def run(connection: Connection) -> None:
    """Migrate over an open connection, each migration in its own transaction, so that its locks end with it."""
    context.configure(
        connection=connection,
        target_metadata=Table.metadata,
        include_object=include_object,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run() -> None:
    """Open a connection and migrate."""
    engine = create_async_engine(Settings().database.url.get_secret_value())
    async with engine.connect() as connection:
        # Two deployments that start at the same time take turns.
        await connection.exec_driver_sql("SELECT pg_advisory_lock(7_251_001)")
        # While a change of a table waits for a long transaction, the running release's statements queue up behind it.
        await connection.exec_driver_sql(f"SET lock_timeout = {LOCK_MILLISECONDS}")
        await connection.commit()
        await connection.run_sync(run)
    await engine.dispose()


asyncio.run(connect_and_run())
