"""The contract of vector archives, run on the fake and on the real store."""

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import numpy as np
import pytest

from app.adapters.vector_store import open_vector_archive, open_vector_store
from app.documents.ports import PassageVector, VectorArchive, VectorStore
from app.errors import UnavailableError
from app.settings import Settings
from tests.adapters.vector_store_under_test import settings_for
from tests.adapters.vectors import MODEL, OTHER_MODEL, OTHER_OWNER, OWNER, direction, seeded, vector_of
from tests.documents.fakes import FakeVectorStore

LAST = UUID(int=2**128 - 1)


@dataclass(frozen=True)
class StoreAndArchive:
    """A store with both of its interfaces."""

    store: VectorStore
    archive: VectorArchive


@pytest.fixture
def fake() -> StoreAndArchive:
    store = FakeVectorStore()
    return StoreAndArchive(store, store)


@pytest.fixture
async def real(settings: Settings) -> AsyncIterator[StoreAndArchive]:
    chosen = settings.vector_store
    async with open_vector_store(chosen) as store, open_vector_archive(chosen) as archive:
        yield StoreAndArchive(store, archive)


@pytest.fixture(params=["fake", "real"])
def kept(request: pytest.FixtureRequest) -> StoreAndArchive:
    """Run each contract test with both stores."""
    chosen: StoreAndArchive = request.getfixturevalue(request.param)
    return chosen


def as_stored(vectors: Sequence[PassageVector]) -> list[PassageVector]:
    """Return the vectors with their numbers rounded to 32 bits, as stores may return more decimals."""
    return [replace(vector, embedding=np.asarray(vector.embedding, np.float32).tolist()) for vector in vectors]


def halves(values: Sequence[float]) -> list[float]:
    """Return the nearest numbers that every store represents exactly."""
    rounded: list[float] = np.asarray(values, np.float16).tolist()
    return rounded


def some(count: int, source: random.Random, owner_id: UUID = OWNER) -> list[PassageVector]:
    return [vector_of(halves(direction(source)), owner_id=owner_id) for _ in range(count)]


def in_order(vectors: Sequence[PassageVector]) -> list[PassageVector]:
    return sorted(vectors, key=lambda vector: vector.passage_id)


async def test_a_prepared_store_without_vectors_gives_nothing(kept: StoreAndArchive) -> None:
    await kept.store.prepare(MODEL)
    assert await kept.archive.scan(MODEL.identity, limit=10) == []


async def test_every_owners_vectors_come_back_as_they_were_stored_in_the_order_of_the_passages(
    kept: StoreAndArchive,
) -> None:
    vectors = [*some(4, seeded(1)), *some(3, seeded(2), OTHER_OWNER)]
    await kept.store.prepare(MODEL)
    await kept.store.upsert(vectors)
    assert as_stored(await kept.archive.scan(MODEL.identity, limit=10)) == in_order(vectors)


async def test_pages_follow_each_other_without_gap_or_repetition(kept: StoreAndArchive) -> None:
    vectors = some(10, seeded(3))
    vectors += [vector_of(halves(direction(seeded(4))), passage_id=LAST)]
    await kept.store.prepare(MODEL)
    await kept.store.upsert(vectors)
    pages: list[list[PassageVector]] = []
    after: UUID | None = None
    while page := await kept.archive.scan(MODEL.identity, after=after, limit=4):
        pages.append(page)
        after = page[-1].passage_id
    assert [len(page) for page in pages] == [4, 4, 3]
    assert as_stored([vector for page in pages for vector in page]) == in_order(vectors)


async def test_a_page_may_start_after_a_passage_that_is_gone(kept: StoreAndArchive) -> None:
    vectors = in_order(some(5, seeded(5)))
    await kept.store.prepare(MODEL)
    await kept.store.upsert(vectors)
    await kept.store.delete_document(owner_id=OWNER, document_id=vectors[1].document_id)
    assert as_stored(await kept.archive.scan(MODEL.identity, after=vectors[1].passage_id, limit=10)) == vectors[2:]


async def test_one_model_is_read_at_a_time(kept: StoreAndArchive) -> None:
    passage_id = uuid4()
    old = vector_of(halves(direction(seeded(6))), passage_id=passage_id)
    new = vector_of(halves(direction(seeded(7), OTHER_MODEL.dimension)), passage_id=passage_id, model=OTHER_MODEL)
    for model in (MODEL, OTHER_MODEL):
        await kept.store.prepare(model)
    await kept.store.upsert([old, new])
    assert as_stored(await kept.archive.scan(MODEL.identity, limit=10)) == [old]
    assert as_stored(await kept.archive.scan(OTHER_MODEL.identity, limit=10)) == [new]


async def test_a_store_that_is_not_there_is_unavailable() -> None:
    async with open_vector_archive(settings_for("127.0.0.1", 1)) as archive:
        with pytest.raises(UnavailableError):
            await archive.scan(MODEL.identity, limit=1)
