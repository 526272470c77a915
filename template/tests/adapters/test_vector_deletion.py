"""The contract of vector stores: deletion."""

from uuid import uuid4

from app.documents.ports import VectorStore
from tests.adapters.vectors import (
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


async def test_deleting_a_document_removes_its_vectors_of_every_model(store: VectorStore) -> None:
    document_id = uuid4()
    other = direction(seeded(2), OTHER_MODEL.dimension)
    doomed = [vector_of(towards(0.9), document_id=document_id) for _ in range(3)]
    doomed.append(vector_of(other, document_id=document_id, model=OTHER_MODEL))
    kept = vector_of(towards(0.1))
    for model in (MODEL, OTHER_MODEL):
        await store.prepare(model)
    await store.upsert([*doomed, kept])
    for _ in range(2):
        await store.delete_document(owner_id=OWNER, document_id=document_id)
    assert ids(await store.search(ask())) == [kept.passage_id]
    assert await store.search(ask(other, model=OTHER_MODEL)) == []


async def test_nobody_deletes_the_document_of_another(store: VectorStore) -> None:
    vector = vector_of(towards(0.9))
    await store.prepare(MODEL)
    await store.upsert([vector])
    await store.delete_document(owner_id=OTHER_OWNER, document_id=vector.document_id)
    assert ids(await store.search(ask())) == [vector.passage_id]


async def test_a_document_names_its_passages_of_every_model_and_no_others(store: VectorStore) -> None:
    source, document_id = seeded(4), uuid4()
    mine = [vector_of(direction(source), document_id=document_id) for _ in range(2_100)]
    again = vector_of(direction(source, OTHER_MODEL.dimension), document_id=document_id, model=OTHER_MODEL)
    for model in (MODEL, OTHER_MODEL):
        await store.prepare(model)
    await store.upsert([*mine, again, vector_of(towards(0.9))])
    found = await store.list_passages(owner_id=OWNER, document_id=document_id)
    assert found == {*ids_of(mine), again.passage_id}
    assert await store.list_passages(owner_id=OTHER_OWNER, document_id=document_id) == set()


async def test_passages_lose_their_vectors_of_every_model_and_others_keep_theirs(store: VectorStore) -> None:
    document_id = uuid4()
    other = direction(seeded(5), OTHER_MODEL.dimension)
    gone, kept = (vector_of(towards(cosine), document_id=document_id) for cosine in (0.9, 0.1))
    both = vector_of(other, document_id=document_id, passage_id=gone.passage_id, model=OTHER_MODEL)
    for model in (MODEL, OTHER_MODEL):
        await store.prepare(model)
    await store.upsert([gone, kept, both])
    for _ in range(2):
        await store.delete_passages([gone.passage_id, uuid4()])
    assert ids(await store.search(ask())) == [kept.passage_id]
    assert await store.search(ask(other, model=OTHER_MODEL)) == []
