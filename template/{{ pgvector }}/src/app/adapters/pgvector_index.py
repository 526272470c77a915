"""The HNSW indexes of pgvector: one per embedding model, because an index has one dimension."""

import asyncio
import hashlib
import re

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import StartupError
from app.inference.manifest import EmbeddingModel

BUILD_LOCK = 0x70617373  # any number that nothing else in the database locks


def index_name(model: str) -> str:
    """Name the HNSW index of a model identity; Alembic leaves names that start with `hnsw_` alone."""
    # PostgreSQL cuts names at 63 bytes; the digest keeps apart what the readable part does not.
    readable = re.sub(r"[^a-z0-9]+", "_", model.lower())[:40]
    return f"hnsw_{readable}_{hashlib.sha256(model.encode()).hexdigest()[:8]}"


async def is_indexed(connection: AsyncConnection, model: EmbeddingModel) -> bool:
    """Tell whether the model's index is there and whole.

    Raises:
        StartupError: it is one of another dimension.
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
    # Asked again and again: a build waits for every open statement, one that waits inside for the lock included.
    while not await connection.scalar(select(func.pg_try_advisory_lock(BUILD_LOCK))):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0.2)


async def build(connection: AsyncConnection, model: EmbeddingModel) -> None:
    """Build the model's index while writes go on; needs the lock, and a connection outside any transaction."""
    name = index_name(model.identity)
    identity = model.identity.replace("'", "''")
    # Under the lock nobody builds it, so an index that is still there is the rest of an interrupted build.
    await connection.exec_driver_sql(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    await connection.exec_driver_sql(
        f"CREATE INDEX CONCURRENTLY {name} ON passage_vectors "
        f"USING hnsw ((embedding::halfvec({model.dimension})) halfvec_cosine_ops) WHERE model = '{identity}'"
    )
