"""Runs migrations against the database of the settings."""

import asyncio
from typing import Literal

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.sql.schema import SchemaItem

# Importing the tables registers them with the metadata that autogenerate compares. `tables` finds those of all
# features; the others stand here for those who put their own between them.
import app.adapters.vector_store
import app.auth.models
import app.documents.models
import app.jobs.models
import app.tables  # noqa: F401
from app.database import Table
from app.settings import Settings

# How long a migration may wait for a table, and hold up those who come after it, before it fails and can be run again.
LOCK_MILLISECONDS = 5_000

ObjectKind = Literal[
    "schema", "table", "column", "index", "unique_constraint", "foreign_key_constraint", "check_constraint"
]


def include_object(_: SchemaItem, name: str | None, kind: ObjectKind, *_rest: object) -> bool:
    """Leave the vector indexes, one per embedding model, to the vector store."""
    return not (kind == "index" and name is not None and name.startswith("hnsw_"))


def run(connection: Connection) -> None:
    """Migrate over an open connection, in one transaction."""
    context.configure(connection=connection, target_metadata=Table.metadata, include_object=include_object)
    with context.begin_transaction():
        context.run_migrations()


async def connect_and_run() -> None:
    """Open a connection of our own and migrate."""
    engine = create_async_engine(Settings().database.url.get_secret_value())
    async with engine.connect() as connection:
        # Two deployments that start together take turns.
        await connection.exec_driver_sql("SELECT pg_advisory_lock(7_251_001)")
        # Statements of the release that runs queue up behind a change of a table that waits for a long one.
        await connection.exec_driver_sql(f"SET lock_timeout = {LOCK_MILLISECONDS}")
        await connection.commit()
        await connection.run_sync(run)
    await engine.dispose()


asyncio.run(connect_and_run())
