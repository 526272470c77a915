"""The HNSW indexes of pgvector: one per embedding model, because an index has a fixed dimension."""

import asyncio
import hashlib
import re

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import StartupError
from app.inference.manifest import EmbeddingModel

BUILD_LOCK = 0x70617373  # an advisory lock key; any number that nothing else uses


def index_name(model: str) -> str:
    """Return the name of a model's HNSW index; Alembic ignores names that start with `hnsw_`."""
    # PostgreSQL truncates names to 63 bytes; the digest makes the name unique.
    readable = re.sub(r"[^a-z0-9]+", "_", model.lower())[:40]
    return f"hnsw_{readable}_{hashlib.sha256(model.encode()).hexdigest()[:8]}"


async def is_indexed(connection: AsyncConnection, model: EmbeddingModel) -> bool:
    """Return whether the model's index exists and is complete.

    Raises:
        StartupError: it has another dimension.
    """
    state = text("SELECT indisvalid, pg_get_indexdef(indexrelid) FROM pg_index WHERE indexrelid = to_regclass(:name)")
    found = (await connection.execute(state, {"name": index_name(model.identity)})).one_or_none()
    if found is None:
        return False
    valid, definition = found
    if valid and f"halfvec({model.dimension})" not in definition:
        raise StartupError(
            f"The vectors of {model.identity} have another dimension than {model.dimension}: "
            "give the changed model a new version."
        )
    return bool(valid)


async def lock_builds(connection: AsyncConnection) -> None:
    """Wait until no other process builds an index."""
    # Polled: a build waits for all open statements, which include a blocking wait for this lock.
    while not await connection.scalar(select(func.pg_try_advisory_lock(BUILD_LOCK))):  # noqa: ASYNC110 - no event
        await asyncio.sleep(0.2)


async def build(connection: AsyncConnection, model: EmbeddingModel) -> None:
    """Build the model's index without blocking writes; requires the lock, and a connection in autocommit mode."""
    name = index_name(model.identity)
    identity = model.identity.replace("'", "''")
    # Under the lock, an existing index is the remainder of an interrupted build.
    await connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    await connection.exec_driver_sql(
        f"CREATE INDEX CONCURRENTLY {name} ON passage_vectors "
        f"USING hnsw ((embedding::halfvec({model.dimension})) halfvec_cosine_ops) WHERE model = '{identity}'"
    )
