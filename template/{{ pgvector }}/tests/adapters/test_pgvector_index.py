"""Tests of how pgvector's indexes are built and used; search results are in the contract suite."""

import math
import random
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from app.adapters.pgvector_index import index_name
from app.adapters.vector_store import VectorStoreSettings, nearest, open_vector_store
from app.documents.ports import PassageVector, VectorQuery, VectorStore
from app.errors import UnavailableError
from app.inference.manifest import EmbeddingModel

MODEL = EmbeddingModel(name="test-model", version="1", dimension=16, max_tokens=8, folder=Path("unused"))
OWNER, OTHER_OWNER = UUID(int=1), UUID(int=2)


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    opened = create_async_engine(database_url, isolation_level="AUTOCOMMIT")
    yield opened
    await opened.dispose()


@pytest.fixture
async def store(database_url: str, engine: AsyncEngine) -> AsyncIterator[VectorStore]:
    """Open a store on a database whose planner prefers the vector index."""
    async with engine.connect() as connection:
        for setting in ("enable_seqscan", "enable_bitmapscan", "enable_sort"):
            await connection.exec_driver_sql(f'ALTER DATABASE "{engine.url.database}" SET {setting} = off')
    await engine.dispose()  # the settings apply to new connections only
    async with open_vector_store(VectorStoreSettings(url=SecretStr(database_url))) as opened:
        yield opened


def vectors_of(owner_id: UUID, count: int, *, seed: int = 0) -> list[PassageVector]:
    source = random.Random(seed)  # noqa: S311 - the same vectors in every run, not secrets
    return [PassageVector(uuid4(), uuid4(), owner_id, MODEL.identity, direction(source)) for _ in range(count)]


def direction(source: random.Random) -> list[float]:
    values = [source.gauss(0, 1) for _ in range(MODEL.dimension)]
    length = math.hypot(*values)
    return [value / length for value in values]


def question(limit: int = 5) -> VectorQuery:
    return VectorQuery(OWNER, MODEL.identity, [1.0] + [0.0] * (MODEL.dimension - 1), limit)


async def plan(engine: AsyncEngine, *, exact: bool) -> str:
    """Return PostgreSQL's plan of a search."""
    statement = nearest(question(), exact=exact).compile(dialect=engine.dialect, compile_kwargs={"literal_binds": True})
    async with engine.connect() as connection:
        return "\n".join((await connection.exec_driver_sql(f"EXPLAIN {statement}")).scalars())


async def is_valid(engine: AsyncEngine) -> bool | None:
    """Return whether the model's index is valid, or None if there is none."""
    query = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
    async with engine.connect() as connection:
        valid: bool | None = await connection.scalar(query, {"name": index_name(MODEL.identity)})
    return valid


async def test_a_search_walks_the_index_of_its_model(store: VectorStore, engine: AsyncEngine) -> None:
    await store.prepare(MODEL)
    await store.upsert(vectors_of(OWNER, 300))
    assert f"Index Scan using {index_name(MODEL.identity)}" in await plan(engine, exact=False)


async def test_an_exact_search_leaves_the_index_aside(store: VectorStore, engine: AsyncEngine) -> None:
    await store.prepare(MODEL)
    await store.upsert(vectors_of(OWNER, 300))
    assert index_name(MODEL.identity) not in await plan(engine, exact=True)


async def test_an_owner_whom_the_index_does_not_reach_is_found_all_the_same(
    database_url: str, store: VectorStore, engine: AsyncEngine
) -> None:
    rare = vectors_of(OWNER, 3, seed=1)
    await store.prepare(MODEL)
    await store.upsert([*vectors_of(OTHER_OWNER, 1_500), *rare])
    settings = VectorStoreSettings(url=SecretStr(database_url), ef_search=1, iterative_scan="off")
    async with open_vector_store(settings) as impatient:
        matches = await impatient.search(question())
    assert index_name(MODEL.identity) in await plan(engine, exact=False)
    assert {match.passage_id for match in matches} == {vector.passage_id for vector in rare}


async def test_an_index_that_an_interrupted_build_has_left_is_built_anew(
    store: VectorStore, engine: AsyncEngine
) -> None:
    misfit = PassageVector(uuid4(), uuid4(), OWNER, MODEL.identity, [1.0, 0.0])
    await store.upsert([misfit])
    with pytest.raises(DBAPIError, match="expected 16 dimensions"):
        await store.prepare(MODEL)
    assert await is_valid(engine) is False
    await store.delete_document(owner_id=OWNER, document_id=misfit.document_id)
    await store.prepare(MODEL)
    assert await is_valid(engine) is True


async def test_names_of_indexes_differ_where_models_do_and_fit_postgresql() -> None:
    models = ["a.b@1", "a-b@1", "A-b@1", f"{'long' * 30}@1", f"{'long' * 30}@2"]
    names = {index_name(model) for model in models}
    assert len(names) == len(models)
    assert all(name.startswith("hnsw_") and len(name) <= 63 for name in names)


async def test_a_database_that_no_migration_has_seen_is_made_ready(database_url: str, engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.exec_driver_sql("DROP EXTENSION vector CASCADE")
        await connection.exec_driver_sql("DROP TABLE passage_vectors")
    await engine.dispose()
    async with open_vector_store(VectorStoreSettings(url=SecretStr(database_url))) as opened:
        with pytest.raises(UnavailableError, match="app migrate"):
            await opened.search(question())
        await opened.prepare(MODEL)
        await opened.upsert(vectors_of(OWNER, 10))
        assert len(await opened.search(question())) == 5
