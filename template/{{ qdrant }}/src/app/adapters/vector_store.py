"""The vector store: Qdrant."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import cast
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from qdrant_client import AsyncQdrantClient
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from qdrant_client.models import (
    Condition,
    Distance,
    FieldCondition,
    Filter,
    FilterSelector,
    HasIdCondition,
    HnswConfigDiff,
    KeywordIndexParams,
    KeywordIndexType,
    MatchAny,
    PointIdsList,
    Record,
    VectorParams,
)

from app.adapters.qdrant_points import has, of_document, point_of, vector_of
from app.documents.ports import PassageVector, VectorArchive, VectorMatch, VectorQuery, VectorStore
from app.errors import StartupError, UnavailableError
from app.inference.manifest import EmbeddingModel

UPSERT_BATCH = 256
LIST_BATCH = 1000
LAST_ID = UUID(int=2**128 - 1)
UNREACHABLE_STATUSES = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
}


class VectorStoreSettings(BaseModel):
    """Connection to Qdrant, and layout of new collections."""

    model_config = ConfigDict(extra="forbid")

    url: SecretStr = Field(description="http://host:6333 or https://host:6333")
    api_key: SecretStr | None = Field(default=None, description="sent with every request")
    timeout: int = Field(default=10, ge=1, description="timeout of a search or a batch of writes, in seconds")
    collection_prefix: str = Field(default="passages", pattern=r"^[a-z0-9-]+$", description="unique for each service")
    shard_number: int | None = Field(default=None, ge=1, description="shards of new collections; Qdrant's own if unset")
    replication_factor: int = Field(default=1, ge=1, description="copies of each shard of a new collection")


class QdrantVectorStore:
    """Vectors in one collection per embedding model, named `<prefix>_<name>@<version>`."""

    def __init__(self, client: AsyncQdrantClient, settings: VectorStoreSettings) -> None:
        self._client = client
        self._settings = settings

    async def prepare(self, model: EmbeddingModel) -> None:
        """Create the model's collection and its payload indexes if they are missing.

        Raises:
            StartupError: the collection has another dimension.
            UnavailableError: Qdrant cannot be reached.
        """
        collection = self._collection(model.identity)
        async with self._reached():
            await self._create(collection, model.dimension)
            info = await self._client.get_collection(collection)
            layout = info.config.params.vectors
            if not isinstance(layout, VectorParams) or layout.size != model.dimension:
                raise StartupError(
                    f"The vectors of {model.identity} have another dimension than {model.dimension}: "
                    "give the changed model a new version."
                )
            for field, is_tenant in (("owner_id", True), ("document_id", False)):
                if field not in info.payload_schema:
                    schema = KeywordIndexParams(type=KeywordIndexType.KEYWORD, is_tenant=is_tenant)
                    await self._client.create_payload_index(collection, field, field_schema=schema, wait=True)

    async def upsert(self, vectors: Sequence[PassageVector]) -> None:
        """Store vectors in batches, replacing those of the same passage and model.

        Raises:
            UnavailableError: Qdrant cannot be reached, or is not prepared for a vector's model.
        """
        by_model: dict[str, list[PassageVector]] = {}
        for vector in vectors:
            by_model.setdefault(vector.model, []).append(vector)
        for model, group in by_model.items():
            for start in range(0, len(group), UPSERT_BATCH):
                points = [point_of(vector) for vector in group[start : start + UPSERT_BATCH]]
                async with self._reached():
                    await self._client.upsert(self._collection(model), points, wait=True)

    async def search(self, query: VectorQuery) -> list[VectorMatch]:
        """Find the nearest passages of one owner and one model, best first; none for a model without vectors."""
        if query.document_ids is not None and not query.document_ids:
            return []
        conditions: list[Condition] = [has("owner_id", query.owner_id)]
        if query.document_ids is not None:
            documents = MatchAny(any=[str(document_id) for document_id in query.document_ids])
            conditions.append(FieldCondition(key="document_id", match=documents))
        if query.passage_ids is not None:
            conditions.append(HasIdCondition(has_id=[str(passage_id) for passage_id in query.passage_ids]))
        async with self._reached():
            try:
                found = await self._client.query_points(
                    self._collection(query.model),
                    query=list(query.embedding),
                    query_filter=Filter(must=conditions),
                    limit=query.limit,
                    with_payload=False,
                )
            except UnexpectedResponse as error:
                if error.status_code != HTTPStatus.NOT_FOUND:
                    raise
                return []  # there are no vectors of this model
        matches = [VectorMatch(UUID(str(point.id)), max(-1.0, min(1.0, point.score))) for point in found.points]
        return sorted(matches, key=lambda match: (-match.score, match.passage_id))

    async def delete_document(self, *, owner_id: UUID, document_id: UUID) -> None:
        """Delete all vectors of a document, of every model; harmless if there are none."""
        await self._delete(FilterSelector(filter=of_document(owner_id, document_id)))

    async def list_passages(self, *, owner_id: UUID, document_id: UUID) -> set[UUID]:
        """Return the passages of a document that have vectors, of any model."""
        chosen = of_document(owner_id, document_id)
        found: set[UUID] = set()
        for collection in await self._collections():
            after: UUID | None = None
            while page := await self._page(collection, after, LIST_BATCH, chosen):
                found.update(UUID(str(point.id)) for point in page)
                after = UUID(str(page[-1].id))
        return found

    async def delete_passages(self, passage_ids: Sequence[UUID]) -> None:
        """Delete all vectors of these passages, of every model; harmless if there are none."""
        if passage_ids:  # Qdrant rejects an empty list
            await self._delete(PointIdsList(points=[str(passage_id) for passage_id in passage_ids]))

    async def scan(self, model: str, *, after: UUID | None = None, limit: int) -> list[PassageVector]:
        """Read a page of one model's vectors, of all owners, by ascending passage; empty after the last one."""
        return [vector_of(point, model) for point in await self._page(self._collection(model), after, limit)]

    async def ping(self) -> None:
        """Raise `UnavailableError` if Qdrant does not answer, or refuses the API key."""
        async with self._reached():
            await self._client.get_collections()

    def _collection(self, model: str) -> str:
        # Prefixes have no underscore, so the names of two services cannot collide.
        return f"{self._settings.collection_prefix}_{model}"

    async def _collections(self) -> list[str]:
        async with self._reached():
            existing = (await self._client.get_collections()).collections
        return [each.name for each in existing if each.name.startswith(self._collection(""))]

    async def _delete(self, points: FilterSelector | PointIdsList) -> None:
        for collection in await self._collections():
            async with self._reached():
                await self._client.delete(collection, points_selector=points, wait=True)

    async def _page(self, name: str, after: UUID | None, limit: int, chosen: Filter | None = None) -> list[Record]:
        """Read a page of points by ascending id: only ids with a filter, complete points without one."""
        if after == LAST_ID:
            return []
        first, whole = None if after is None else str(UUID(int=after.int + 1)), chosen is None
        async with self._reached():
            page = self._client.scroll(name, chosen, limit, offset=first, with_payload=whole, with_vectors=whole)
            return (await page)[0]

    async def _create(self, collection: str, dimension: int) -> None:
        if await self._client.collection_exists(collection):
            return
        try:
            await self._client.create_collection(
                collection,
                # For unit vectors this is the cosine; with Distance.COSINE, Qdrant would alter the stored vectors.
                vectors_config=VectorParams(size=dimension, distance=Distance.DOT),
                # Every search is for one owner: one graph per owner instead of one over all.
                hnsw_config=HnswConfigDiff(m=0, payload_m=16),
                shard_number=self._settings.shard_number,
                replication_factor=self._settings.replication_factor,
            )
        except UnexpectedResponse as error:
            if error.status_code != HTTPStatus.CONFLICT:  # another process was faster
                raise

    @asynccontextmanager
    async def _reached(self) -> AsyncIterator[None]:
        """Limit a block to the timeout, and raise UnavailableError if Qdrant cannot be reached."""
        unavailable = UnavailableError("The vector store cannot be reached at the moment.")
        try:
            async with asyncio.timeout(self._settings.timeout):
                yield
        except (OSError, ResponseHandlingException, ResourceExhaustedResponse) as error:
            raise unavailable from error
        except UnexpectedResponse as error:
            status = cast("int", error.status_code)
            if status == HTTPStatus.NOT_FOUND:
                detail = "The vector store is not prepared for this embedding model: run `app migrate`."
                raise UnavailableError(detail) from error
            if status in UNREACHABLE_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise unavailable from error
            raise


@asynccontextmanager
async def open_vector_store(settings: VectorStoreSettings) -> AsyncIterator[VectorStore]:
    """Connect lazily; close every connection at the end.

    Raises:
        StartupError: the URL is not one of Qdrant.
    """
    async with _open(settings) as store:
        yield store


@asynccontextmanager
async def open_vector_archive(settings: VectorStoreSettings) -> AsyncIterator[VectorArchive]:
    """Open the same store for export; raises what `open_vector_store` raises."""
    async with _open(settings) as store:
        yield store


@asynccontextmanager
async def _open(settings: VectorStoreSettings) -> AsyncIterator[QdrantVectorStore]:
    try:
        client = AsyncQdrantClient(
            url=settings.url.get_secret_value(),
            api_key=settings.api_key.get_secret_value() if settings.api_key else None,
            timeout=settings.timeout,
            check_compatibility=False,  # the check runs in a background thread that is never joined
        )
    except ValueError as error:
        raise StartupError("The vector store's URL is not http://host:port or https://host:port.") from error
    try:
        yield QdrantVectorStore(client, settings)
    finally:
        await client.close()
