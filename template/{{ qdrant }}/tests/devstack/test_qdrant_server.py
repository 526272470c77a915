"""Tests of the stand-in for Qdrant with the real client."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient
from qdrant_client import models as m
from qdrant_client.http.exceptions import UnexpectedResponse

from devstack.servers import http_answers
from tests.devstack.stand_in import REPOSITORY, wait_for

_POINTS = [
    m.PointStruct(id=1, vector={"dense": [1.0, 0.0]}, payload={"owner": "a", "page": 1, "note": None}),
    m.PointStruct(id=2, vector={"dense": [0.8, 0.6]}, payload={"owner": "a", "page": 2}),
    m.PointStruct(id="5c56c793-69f3-4fbf-87e6-c4bf54c28c26", vector={"dense": [0.0, 1.0]}, payload={"owner": "b"}),
]
_OWNER_A = m.Filter(must=[m.FieldCondition(key="owner", match=m.MatchValue(value="a"))])


@contextmanager
def served(*options: str) -> Iterator[str]:
    """Run the server and return its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "devstack.qdrant_server", "--port", str(port), *options]
    process = subprocess.Popen(command, cwd=REPOSITORY)  # noqa: S603 - our own command
    try:
        wait_for(lambda: http_answers(port, "/readyz"), "the server never answered")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Return the URL of a server without a folder."""
    with served() as url:
        yield url


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncQdrantClient]:
    """Return a client that is closed at the end."""
    # The compatibility check runs in a thread that may still send requests after the server has stopped.
    client = AsyncQdrantClient(url=url, check_compatibility=False)
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def client(url: str) -> AsyncIterator[AsyncQdrantClient]:
    """Return a client of a server that holds the three points in the collection `passages`."""
    async with connected(url) as client:
        await client.delete_collection("passages")
        await create(client)
        yield client


async def create(client: AsyncQdrantClient) -> None:
    """Create and fill the collection."""
    vectors = {"dense": m.VectorParams(size=2, distance=m.Distance.COSINE)}
    sparse = {"words": m.SparseVectorParams(modifier=m.Modifier.IDF)}
    await client.create_collection("passages", vectors_config=vectors, sparse_vectors_config=sparse)
    await client.upsert("passages", _POINTS)


def ids(points: list[m.ScoredPoint] | list[m.Record]) -> list[m.ExtendedPointId]:
    """Return the ids in order."""
    return [point.id for point in points]


async def test_a_collection_can_be_made_described_and_deleted(client: AsyncQdrantClient) -> None:
    """The description matches the configuration, payload indexes included."""
    await client.create_payload_index("passages", "owner", m.PayloadSchemaType.KEYWORD)
    await client.create_payload_index("passages", "page", m.IntegerIndexParams(type=m.IntegerIndexType.INTEGER))
    described = await client.get_collection("passages")
    assert described.points_count == 3
    assert isinstance(described.config.params.vectors, dict)
    assert described.config.params.vectors["dense"].size == 2
    assert {name: index.data_type for name, index in described.payload_schema.items()} == {
        "owner": m.PayloadSchemaType.KEYWORD,
        "page": m.PayloadSchemaType.INTEGER,
    }
    await client.delete_payload_index("passages", "owner")
    assert set((await client.get_collection("passages")).payload_schema) == {"page"}
    assert await client.collection_exists("passages")
    assert [item.name for item in (await client.get_collections()).collections] == ["passages"]
    assert await client.delete_collection("passages")
    assert not await client.collection_exists("passages")


async def test_the_nearest_points_come_first_and_filters_hold(client: AsyncQdrantClient) -> None:
    """Search ranks by similarity, keeps to the filter, the limit and the threshold, and returns payloads as stored."""
    found = (await client.query_points("passages", [1.0, 0.1], using="dense", query_filter=_OWNER_A)).points
    assert ids(found) == [1, 2]
    assert found[0].payload == {"owner": "a", "page": 1, "note": None}
    limited = await client.query_points("passages", [1.0, 0.1], using="dense", limit=1, with_payload=False)
    assert (ids(limited.points), limited.points[0].payload) == ([1], None)
    near = await client.query_points("passages", [1.0, 0.0], using="dense", score_threshold=0.9)
    assert ids(near.points) == [1]


async def test_dense_and_sparse_results_can_be_fused(client: AsyncQdrantClient) -> None:
    """A hybrid search finds a point by its words that its dense vector would rank last."""
    words = m.SparseVector(indices=[7], values=[1.0])
    await client.upsert("passages", [m.PointStruct(id=9, vector={"dense": [-1.0, 0.0], "words": words})])
    prefetch = [
        m.Prefetch(query=[1.0, 0.0], using="dense", limit=2),
        m.Prefetch(query=words, using="words", limit=2),
    ]
    found = await client.query_points("passages", m.FusionQuery(fusion=m.Fusion.RRF), prefetch=prefetch)
    assert set(ids(found.points)) == {1, 2, 9}


async def test_points_can_be_read_paged_counted_and_grouped(client: AsyncQdrantClient) -> None:
    """Every way of reading sees the same points."""
    record = (await client.retrieve("passages", [2, 77], with_vectors=True))[0]
    assert (record.id, record.payload) == (2, {"owner": "a", "page": 2})
    assert isinstance(record.vector, dict)
    assert record.vector["dense"] == pytest.approx([0.8, 0.6])
    first, following = await client.scroll("passages", limit=2)
    rest, end = await client.scroll("passages", limit=2, offset=following)
    assert (len({*ids(first), *ids(rest)}), end) == (3, None)
    assert (await client.count("passages", count_filter=_OWNER_A)).count == 2
    groups = await client.query_points_groups("passages", "owner", query=[1.0, 0.0], using="dense", group_size=1)
    assert {group.id: ids(group.hits) for group in groups.groups} == {"a": [1], "b": [_POINTS[2].id]}
    facet = await client.facet("passages", "owner")
    assert {hit.value: hit.count for hit in facet.hits} == {"a": 2, "b": 1}


async def test_points_can_be_written_in_columns_changed_and_deleted(client: AsyncQdrantClient) -> None:
    """Writing, changing payloads, deleting by id and deleting by filter all take effect."""
    await client.upsert(
        "passages", m.Batch(ids=[11, 12], vectors={"dense": [[1.0, 0.0], [0.0, 1.0]]}, payloads=[{"owner": "c"}, {}])
    )
    await client.set_payload("passages", {"page": 5}, points=[11])
    await client.set_payload("passages", {"seen": True}, points=_OWNER_A)
    await client.overwrite_payload("passages", {"only": 1}, points=[12])
    changed = {record.id: record.payload for record in await client.retrieve("passages", [2, 11, 12])}
    assert changed == {2: {"owner": "a", "page": 2, "seen": True}, 11: {"owner": "c", "page": 5}, 12: {"only": 1}}
    await client.delete_payload("passages", ["page"], points=[11])
    await client.clear_payload("passages", [12])
    assert [record.payload for record in await client.retrieve("passages", [11, 12])] == [{"owner": "c"}, {}]
    await client.delete("passages", points_selector=[11, 12])
    await client.delete("passages", points_selector=m.FilterSelector(filter=_OWNER_A))
    assert ids((await client.scroll("passages"))[0]) == [_POINTS[2].id]


async def test_an_alias_leads_to_its_collection(client: AsyncQdrantClient) -> None:
    """A search through the alias finds the collection's points."""
    alias = m.CreateAlias(collection_name="passages", alias_name="current")
    await client.update_collection_aliases([m.CreateAliasOperation(create_alias=alias)])
    assert (await client.count("current")).count == 3
    assert [item.alias_name for item in (await client.get_aliases()).aliases] == ["current"]


async def test_errors_have_the_status_of_the_real_server(client: AsyncQdrantClient) -> None:
    """404 for what is missing, 409 for what exists, 400 for wrong input."""
    vectors = m.VectorParams(size=2, distance=m.Distance.COSINE)
    attempts: dict[int, list[Awaitable[object]]] = {
        404: [
            client.query_points("missing", [1.0, 0.0]),
            client.upsert("missing", _POINTS),
            client.get_collection("missing"),
            client.set_payload("passages", {"page": 1}, points=[404]),
        ],
        409: [client.create_collection("passages", vectors_config=vectors)],
        400: [
            client.query_points("passages", [1.0, 0.0], using="unknown"),
            client.upsert("passages", [m.PointStruct(id=1, vector={"dense": [1.0, 2.0, 3.0]})]),
            client.query_points("passages", [1.0, 0.0], using="dense", limit=0),
            client.create_collection("a<b", vectors_config=vectors),
        ],
    }
    for status, calls in attempts.items():
        for call in calls:
            with pytest.raises(UnexpectedResponse) as failed:
                await call
            assert failed.value.status_code == status, failed.value
            assert failed.value.structured()["status"]["error"]


async def test_many_callers_at_once_lose_nothing(client: AsyncQdrantClient) -> None:
    """Concurrent writes and searches take turns."""
    writes: list[Awaitable[object]] = [
        client.upsert("passages", [m.PointStruct(id=number, vector={"dense": [1.0, float(number)]})])
        for number in range(100, 130)
    ]
    searches: list[Awaitable[object]] = [client.query_points("passages", [1.0, 0.0], using="dense") for _ in range(10)]
    await asyncio.gather(*writes, *searches)
    assert (await client.count("passages")).count == 33


async def test_data_outlives_the_server_when_it_has_a_folder(tmp_path: Path) -> None:
    """The next server on the same folder has the points and the payload indexes, and is not blocked by a lock."""
    folder = str(tmp_path / "with a space")
    with served("--folder", folder) as url:
        async with connected(url) as client:
            await create(client)
            await client.create_payload_index("passages", "owner", m.PayloadSchemaType.KEYWORD)
    with served("--folder", folder) as url:
        async with connected(url) as client:
            assert (await client.count("passages")).count == 3
            assert "owner" in (await client.get_collection("passages")).payload_schema
