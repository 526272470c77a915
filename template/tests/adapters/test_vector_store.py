"""The contract of vector stores, run on the fake and on the real one."""

import asyncio
import socket
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from app.adapters.vector_store import VectorStoreSettings, open_vector_store
from app.documents.ports import VectorStore
from app.errors import StartupError, UnavailableError
from app.inference.manifest import EmbeddingModel
from tests.adapters.vector_store_under_test import settings_for
from tests.adapters.vectors import (
    DIMENSION,
    HALF_PRECISION,
    MODEL,
    OTHER_MODEL,
    OTHER_OWNER,
    OWNER,
    ask,
    direction,
    ids,
    ids_of,
    seeded,
    towards,
    vector_of,
)

OPERATIONS = ["prepare", "upsert", "search", "delete_document", "list_passages", "delete_passages", "ping"]


async def test_an_empty_store_finds_nothing(store: VectorStore) -> None:
    await store.prepare(MODEL)
    assert await store.search(ask()) == []


async def test_a_model_that_nobody_has_prepared_finds_nothing(store: VectorStore) -> None:
    assert await store.search(ask()) == []


async def test_storing_and_deleting_nothing_is_harmless(store: VectorStore) -> None:
    await store.prepare(MODEL)
    await store.upsert([])
    await store.delete_document(owner_id=OWNER, document_id=uuid4())
    await store.delete_passages([])
    await store.delete_passages([uuid4()])
    await store.ping()


async def test_matches_come_best_first_with_their_cosine(store: VectorStore) -> None:
    cosines = [0.2, 0.9, -0.4, 1.0, 0.5, -1.0]
    vectors = [vector_of(towards(cosine)) for cosine in cosines]
    await store.prepare(MODEL)
    await store.upsert(vectors)
    matches = await store.search(ask())
    assert [match.score for match in matches] == pytest.approx(sorted(cosines, reverse=True), abs=HALF_PRECISION)
    assert ids(matches) == [vectors[cosines.index(cosine)].passage_id for cosine in sorted(cosines, reverse=True)]
    assert all(-1 <= match.score <= 1 for match in matches)


async def test_equal_scores_are_ordered_by_passage(store: VectorStore) -> None:
    vectors = [vector_of(towards(0.6)) for _ in range(6)]
    await store.prepare(MODEL)
    await store.upsert(vectors)
    assert ids(await store.search(ask())) == sorted(vector.passage_id for vector in vectors)


async def test_no_more_than_the_limit_come_back(store: VectorStore) -> None:
    vectors = [vector_of(towards(1 - step / 10)) for step in range(10)]
    await store.prepare(MODEL)
    await store.upsert(vectors)
    assert ids(await store.search(ask(limit=3))) == ids_of(vectors[:3])


async def test_an_owner_never_sees_the_vectors_of_another(store: VectorStore) -> None:
    mine, theirs = vector_of(towards(0.1)), vector_of(towards(1.0), owner_id=OTHER_OWNER)
    await store.prepare(MODEL)
    await store.upsert([mine, theirs])
    assert ids(await store.search(ask())) == [mine.passage_id]
    assert ids(await store.search(ask(owner_id=OTHER_OWNER))) == [theirs.passage_id]
    assert await store.search(ask(document_ids=[theirs.document_id])) == []


async def test_a_search_stays_within_the_given_documents(store: VectorStore) -> None:
    near, middle, far = (vector_of(towards(cosine)) for cosine in (0.9, 0.6, 0.3))
    await store.prepare(MODEL)
    await store.upsert([near, middle, far])
    chosen = [far.document_id, middle.document_id, uuid4()]
    assert ids(await store.search(ask(document_ids=chosen))) == [middle.passage_id, far.passage_id]
    assert await store.search(ask(document_ids=[])) == []


async def test_a_search_compares_with_the_given_passages_only(store: VectorStore) -> None:
    near, middle, far = (vector_of(towards(cosine)) for cosine in (0.9, 0.6, 0.3))
    theirs = vector_of(towards(0.8), owner_id=OTHER_OWNER)
    await store.prepare(MODEL)
    await store.upsert([near, middle, far, theirs])
    chosen = [far.passage_id, theirs.passage_id, middle.passage_id, uuid4()]
    assert ids(await store.search(replace(ask(limit=4), passage_ids=chosen))) == [middle.passage_id, far.passage_id]
    within = replace(ask(document_ids=[near.document_id, far.document_id]), passage_ids=chosen)
    assert ids(await store.search(within)) == [far.passage_id]


async def test_a_search_may_name_any_number_of_documents(store: VectorStore) -> None:
    near, far = vector_of(towards(0.9)), vector_of(towards(0.3))
    await store.prepare(MODEL)
    await store.upsert([near, far])
    many = [*(uuid4() for _ in range(40_000)), far.document_id]
    assert ids(await store.search(ask(document_ids=many))) == [far.passage_id]


async def test_models_of_different_dimension_live_side_by_side(store: VectorStore) -> None:
    passage_id, document_id = uuid4(), uuid4()
    old = vector_of(towards(0.5), passage_id=passage_id, document_id=document_id)
    other = direction(seeded(1), OTHER_MODEL.dimension)
    new = vector_of(other, passage_id=passage_id, document_id=document_id, model=OTHER_MODEL)
    unmoved = vector_of(towards(0.4))
    for model in (MODEL, OTHER_MODEL):
        await store.prepare(model)
    await store.upsert([old, new, unmoved])
    assert ids(await store.search(ask())) == [passage_id, unmoved.passage_id]
    assert ids(await store.search(ask(other, model=OTHER_MODEL))) == [passage_id]


async def test_storing_a_passage_again_replaces_its_vector(store: VectorStore) -> None:
    first = vector_of(towards(0.9))
    second = vector_of(towards(0.2), passage_id=first.passage_id, document_id=uuid4())
    await store.prepare(MODEL)
    await store.upsert([first])
    await store.upsert([second])
    (match,) = await store.search(ask())
    assert match.score == pytest.approx(0.2, abs=HALF_PRECISION)
    assert await store.search(ask(document_ids=[first.document_id])) == []


async def test_an_owner_with_few_vectors_among_many_finds_all_of_them(store: VectorStore) -> None:
    source = seeded(3)
    crowd = [vector_of(direction(source), owner_id=OTHER_OWNER) for _ in range(1_995)]
    rare = [vector_of(direction(source)) for _ in range(5)]
    await store.prepare(MODEL)
    await store.upsert([*crowd, *rare])
    for _ in range(5):
        assert set(ids(await store.search(ask(direction(source))))) == set(ids_of(rare))


@pytest.mark.parametrize("seed", range(3))
async def test_the_best_match_is_the_one_that_comparing_everything_finds(store: VectorStore, seed: int) -> None:
    source = seeded(seed)
    vectors = [vector_of(direction(source)) for _ in range(400)]
    await store.prepare(MODEL)
    await store.upsert(vectors)
    for _ in range(10):
        question = direction(source)
        scores = [sum(a * b for a, b in zip(question, vector.embedding, strict=True)) for vector in vectors]
        (best,) = await store.search(ask(question, limit=1))
        # Two candidates may be closer to each other than 16-bit floats can resolve.
        assert scores[ids_of(vectors).index(best.passage_id)] == pytest.approx(max(scores), abs=HALF_PRECISION)
        assert best.score == pytest.approx(max(scores), abs=HALF_PRECISION)


async def test_preparing_again_or_in_several_processes_at_once_is_harmless(store: VectorStore) -> None:
    async with asyncio.timeout(60):
        await asyncio.gather(*(store.prepare(MODEL) for _ in range(4)))
    vector = vector_of(towards(0.9))
    await store.upsert([vector])
    await store.prepare(MODEL)
    assert ids(await store.search(ask())) == [vector.passage_id]


async def test_a_model_that_changed_its_dimension_under_the_same_version_is_refused(store: VectorStore) -> None:
    await store.prepare(MODEL)
    with pytest.raises(StartupError, match="another dimension"):
        await store.prepare(EmbeddingModel("test-model", "1", DIMENSION + 1, 8, Path("unused")))


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_store_that_is_not_there_is_unavailable(operation: str) -> None:
    async with asyncio.timeout(30), open_vector_store(settings_for("127.0.0.1", 1)) as store:
        with pytest.raises(UnavailableError):
            await call(store, operation)


async def test_a_store_that_does_not_answer_is_unavailable() -> None:
    # The kernel completes connections even if nothing accepts them.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = settings_for(*silent.getsockname())
        async with asyncio.timeout(30), open_vector_store(settings) as store:
            with pytest.raises(UnavailableError):
                await store.search(ask())


async def test_a_url_of_something_else_is_refused_at_once() -> None:
    with pytest.raises(StartupError, match="URL"):
        async with open_vector_store(VectorStoreSettings(url=SecretStr("carrier-pigeon:coop"))):
            pass


async def call(store: VectorStore, operation: str) -> None:
    """Call one of the store's methods."""
    match operation:
        case "prepare":
            await store.prepare(MODEL)
        case "upsert":
            await store.upsert([vector_of(towards(0.5))])
        case "search":
            await store.search(ask())
        case "delete_document":
            await store.delete_document(owner_id=OWNER, document_id=uuid4())
        case "list_passages":
            await store.list_passages(owner_id=OWNER, document_id=uuid4())
        case "delete_passages":
            await store.delete_passages([uuid4()])
        case _:
            await store.ping()
