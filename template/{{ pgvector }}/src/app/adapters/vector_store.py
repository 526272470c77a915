"""The vector store: pgvector, in the service's PostgreSQL or in another one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal
from uuid import UUID

from pgvector.sqlalchemy import HALFVEC
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from sqlalchemy import Float, Index, Select, String, Uuid, bindparam, cast, delete, exc, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.sql.elements import ColumnElement

from app.adapters.pgvector_index import build, is_indexed, lock_builds
from app.database import Table
from app.documents.ports import PassageVector, VectorArchive, VectorMatch, VectorQuery, VectorStore
from app.errors import StartupError, UnavailableError
from app.inference.manifest import EmbeddingModel

UPSERT_BATCH = 256
MAX_EF_SEARCH = 1000  # pgvector's own upper bound
# SQLSTATE classes: connection, authorisation, no such database, resources, operator intervention.
UNREACHABLE_STATES = ("08", "28", "3D", "53", "57")
NO_SUCH_TABLE = "42P01"


class VectorStoreSettings(BaseModel):
    """Connection to the database of vectors, and tuning of searches."""

    model_config = ConfigDict(extra="forbid")

    url: SecretStr = Field(description="postgresql+asyncpg://user:password@host:port/name")
    pool_size: int = Field(default=5, ge=1, description="most connections of one process")
    timeout: int = Field(default=10, ge=1, description="timeout of a search or a batch of writes, in seconds")
    ef_search: int = Field(default=100, ge=1, le=MAX_EF_SEARCH, description="candidates per search (recall or speed)")
    iterative_scan: Literal["relaxed_order", "strict_order", "off"] = Field(
        default="relaxed_order", description="how the index continues if it finds too few of the owner's passages"
    )


class PassageVectorRow(Table):
    """The vector of a passage for a model.

    There are no foreign keys: the store may be another database, so the documents' jobs delete vectors explicitly. The
    column has no dimension, so models of different dimensions can coexist during a reindexing; each model's HNSW index
    has one.
    """

    __tablename__ = "passage_vectors"
    __table_args__ = (Index("ix_passage_vectors_owner_id_model", "owner_id", "model"),)

    passage_id: Mapped[UUID] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    document_id: Mapped[UUID] = mapped_column(index=True)
    owner_id: Mapped[UUID]
    embedding: Mapped[list[float]] = mapped_column(HALFVEC())


def nearest(query: VectorQuery, *, exact: bool = False) -> Select[UUID, float]:
    """Select passage ids and cosine distances, nearest first; `exact` scans all vectors instead of the index."""
    stored = PassageVectorRow.embedding
    # The planner uses the partial expression index only for the identical expression and a literal model.
    indexed = cast(stored, HALFVEC(len(query.embedding)))
    distance = (stored if exact else indexed).op("<=>", return_type=Float())(list(query.embedding)).label("distance")
    statement = select(PassageVectorRow.passage_id, distance).where(
        PassageVectorRow.owner_id == query.owner_id,
        PassageVectorRow.model == bindparam(None, query.model, String, literal_execute=True),
    )
    if query.document_ids is not None:
        chosen = bindparam(None, list(query.document_ids), ARRAY(Uuid()))  # one parameter: the limit is 32,767
        statement = statement.where(PassageVectorRow.document_id == func.any(chosen))
    if query.passage_ids is not None:
        chosen = bindparam(None, list(query.passage_ids), ARRAY(Uuid()))
        statement = statement.where(PassageVectorRow.passage_id == func.any(chosen))
    return statement.order_by(distance).limit(query.limit)


class PgVectorStore:
    """Vectors in the table `passage_vectors`."""

    def __init__(self, engine: AsyncEngine, settings: VectorStoreSettings) -> None:
        self._engine = engine
        self._settings = settings

    async def prepare(self, model: EmbeddingModel) -> None:
        """Build the model's HNSW index if it is missing; does not block writes, and takes hours for a large table.

        Raises:
            StartupError: the table has vectors of this model in another dimension.
            UnavailableError: the database cannot be reached.
        """
        async with _reached(None), self._engine.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            if await is_indexed(connection, model):
                return
            try:
                await lock_builds(connection)
                await connection.exec_driver_sql("SET statement_timeout = 0")
                if not await is_indexed(connection, model):
                    await _create_table(connection)
                    await build(connection, model)
            finally:
                # Closing the session releases the lock and resets the timeout in any case.
                await connection.invalidate()

    async def upsert(self, vectors: Sequence[PassageVector]) -> None:
        """Store vectors in atomic batches, replacing those of the same passage and model."""
        insertion = insert(PassageVectorRow)
        new = insertion.excluded
        statement = insertion.on_conflict_do_update(
            index_elements=["passage_id", "model"],
            set_={"document_id": new.document_id, "owner_id": new.owner_id, "embedding": new.embedding},
        )
        # A fixed order prevents deadlocks between writers of the same passages.
        rows = [_row(vector) for vector in sorted(vectors, key=lambda vector: (vector.passage_id, vector.model))]
        for start in range(0, len(rows), UPSERT_BATCH):
            async with _reached(self._settings.timeout), self._engine.begin() as connection:
                await connection.execute(statement, rows[start : start + UPSERT_BATCH])

    async def search(self, query: VectorQuery) -> list[VectorMatch]:
        """Find the nearest passages of one owner and one model, best first; none for a model without vectors."""
        if query.document_ids is not None and not query.document_ids:
            return []
        async with _reached(self._settings.timeout), self._engine.begin() as connection:
            await connection.execute(self._tuning(query.limit))
            rows = (await connection.execute(nearest(query, exact=query.passage_ids is not None))).all()
            if len(rows) < query.limit and query.passage_ids is None:
                # The index may have stopped among other owners' vectors. This owner has few, so scan them all.
                rows = (await connection.execute(nearest(query, exact=True))).all()
        matches = [VectorMatch(row.passage_id, max(-1.0, min(1.0, 1.0 - row.distance))) for row in rows]
        return sorted(matches, key=lambda match: (-match.score, match.passage_id))

    async def delete_document(self, *, owner_id: UUID, document_id: UUID) -> None:
        """Delete all vectors of a document, of every model; harmless if there are none."""
        row = PassageVectorRow
        await self._delete(row.owner_id == owner_id, row.document_id == document_id)

    async def list_passages(self, *, owner_id: UUID, document_id: UUID) -> set[UUID]:
        """Return the passages of a document that have vectors, of any model."""
        row = PassageVectorRow
        statement = select(row.passage_id).where(row.owner_id == owner_id, row.document_id == document_id)
        async with _reached(self._settings.timeout), self._engine.connect() as connection:
            return set(await connection.scalars(statement))

    async def delete_passages(self, passage_ids: Sequence[UUID]) -> None:
        """Delete all vectors of these passages, of every model; harmless if there are none."""
        await self._delete(PassageVectorRow.passage_id.in_(passage_ids))

    async def scan(self, model: str, *, after: UUID | None = None, limit: int) -> list[PassageVector]:
        """Read a page of one model's vectors, of all owners, by ascending passage; empty after the last one."""
        row = PassageVectorRow
        statement = select(*row.__table__.columns).where(row.model == model).order_by(row.passage_id).limit(limit)
        if after is not None:
            statement = statement.where(row.passage_id > after)
        async with _reached(self._settings.timeout), self._engine.connect() as connection:
            rows = (await connection.execute(statement)).all()
        return [PassageVector(r.passage_id, r.document_id, r.owner_id, r.model, r.embedding) for r in rows]

    async def ping(self) -> None:
        """Raise `UnavailableError` if the database does not answer."""
        async with _reached(self._settings.timeout), self._engine.connect() as connection:
            await connection.execute(text("SELECT 1"))

    async def _delete(self, *conditions: ColumnElement[bool]) -> None:
        async with _reached(self._settings.timeout), self._engine.begin() as connection:
            await connection.execute(delete(PassageVectorRow).where(*conditions))

    def _tuning(self, limit: int) -> Select[Any]:
        """Return the statement that tunes a search, for its transaction only, which is safe behind a pooler."""
        tuning = {
            "hnsw.ef_search": str(min(max(self._settings.ef_search, limit), MAX_EF_SEARCH)),
            "hnsw.iterative_scan": self._settings.iterative_scan,
            # Whether the index helps depends on the owner's number of vectors, which a generic plan ignores.
            "plan_cache_mode": "force_custom_plan",
        }
        return select(*(func.set_config(name, value, True) for name, value in tuning.items()))  # noqa: FBT003


def _row(vector: PassageVector) -> dict[str, Any]:
    columns = PassageVectorRow.__table__.columns.keys()
    return {column: getattr(vector, column) for column in columns} | {"embedding": list(vector.embedding)}


async def _create_table(connection: AsyncConnection) -> None:
    """Create the table if no migration has: in a separate database, or after a change from another store."""
    await connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
    await connection.run_sync(Table.metadata.create_all, tables=[Table.metadata.tables["passage_vectors"]])


def _sqlstate(error: exc.DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


@asynccontextmanager
async def _reached(seconds: float | None) -> AsyncIterator[None]:
    """Limit a block to so many seconds, and raise UnavailableError if the database cannot be reached."""
    unavailable = UnavailableError("The vector store cannot be reached at the moment.")
    try:
        async with asyncio.timeout(seconds):
            yield
    except (OSError, exc.TimeoutError) as error:
        raise unavailable from error
    except exc.DBAPIError as error:
        if error.connection_invalidated or _sqlstate(error).startswith(UNREACHABLE_STATES):
            raise unavailable from error
        if _sqlstate(error) == NO_SUCH_TABLE:
            raise UnavailableError("The vector store has no table yet: run `app migrate`.") from error
        raise


@asynccontextmanager
async def open_vector_store(settings: VectorStoreSettings) -> AsyncIterator[VectorStore]:
    """Connect lazily; close every connection at the end.

    Raises:
        StartupError: the URL is not one of PostgreSQL.
    """
    async with _open(settings) as store:
        yield store


@asynccontextmanager
async def open_vector_archive(settings: VectorStoreSettings) -> AsyncIterator[VectorArchive]:
    """Open the same store for export; raises what `open_vector_store` raises."""
    async with _open(settings) as store:
        yield store


@asynccontextmanager
async def _open(settings: VectorStoreSettings) -> AsyncIterator[PgVectorStore]:
    try:
        engine = create_async_engine(
            settings.url.get_secret_value(),
            pool_size=settings.pool_size,
            max_overflow=0,
            pool_timeout=settings.timeout,
            pool_pre_ping=True,
            connect_args={"timeout": settings.timeout},
        )
    except exc.ArgumentError as error:
        raise StartupError(
            "The vector store's URL is not postgresql+asyncpg://user:password@host:port/name."
        ) from error
    try:
        yield PgVectorStore(engine, settings)
    finally:
        await engine.dispose()
