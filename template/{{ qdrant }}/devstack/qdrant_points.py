"""The stand-in's points: write, read, search and delete."""

from fastapi import APIRouter, Response
from qdrant_client import QdrantClient
from qdrant_client.http import models

from devstack.qdrant_engine import EngineDep, NotFoundError

router = APIRouter(prefix="/collections/{name}")
_DEFAULT_GROUP_SIZE = 3


@router.put("/points")
def upsert(name: str, body: models.PointInsertOperations, engine: EngineDep) -> Response:
    """Write points, given one by one or as columns."""
    points = body.points if isinstance(body, models.PointsList) else body.batch
    return engine.call(
        lambda client: client.upsert(name, points, update_filter=body.update_filter, update_mode=body.update_mode),
        name,
    )


@router.post("/points")
def retrieve(name: str, body: models.PointRequest, engine: EngineDep) -> Response:
    """Return the points with these ids; unknown ids are left out."""
    return engine.call(
        lambda client: client.retrieve(
            name,
            body.ids,
            with_payload=_payload(body.with_payload, default=True),
            with_vectors=body.with_vector or False,
        ),
        name,
    )


@router.get("/points/{point}")
def get_point(name: str, point: str, engine: EngineDep) -> Response:
    """Return one point."""

    def get(client: QdrantClient) -> models.Record:
        found = client.retrieve(name, [int(point) if point.isdigit() else point], with_vectors=True)
        if not found:
            raise NotFoundError(f"Point with id {point} does not exists!")
        return found[0]

    return engine.call(get, name)


@router.post("/points/query")
def query(name: str, body: models.QueryRequest, engine: EngineDep) -> Response:
    """Search, by any of the query kinds of local mode."""
    return engine.call(lambda client: _search(client, name, body), name)


@router.post("/points/query/batch")
def query_batch(name: str, body: models.QueryRequestBatch, engine: EngineDep) -> Response:
    """Search several times."""
    return engine.call(lambda client: [_search(client, name, search) for search in body.searches], name)


@router.post("/points/query/groups")
def query_groups(name: str, body: models.QueryGroupsRequest, engine: EngineDep) -> Response:
    """Search and group what is found by a payload field."""
    return engine.call(
        lambda client: client.query_points_groups(
            name,
            body.group_by,
            query=body.query,
            using=body.using,
            prefetch=body.prefetch,
            query_filter=body.filter,
            search_params=body.params,
            score_threshold=body.score_threshold,
            limit=_limit(body.limit),
            group_size=_limit(body.group_size, _DEFAULT_GROUP_SIZE),
            with_payload=_payload(body.with_payload, default=False),
            with_vectors=body.with_vector or False,
            with_lookup=body.with_lookup,
            lookup_from=body.lookup_from,
        ),
        name,
    )


@router.post("/points/scroll")
def scroll(name: str, body: models.ScrollRequest, engine: EngineDep) -> Response:
    """Return a page of points and where the next one begins."""

    def page(client: QdrantClient) -> dict[str, object]:
        points, following = client.scroll(
            name,
            scroll_filter=body.filter,
            limit=_limit(body.limit),
            offset=body.offset,
            order_by=body.order_by,
            with_payload=_payload(body.with_payload, default=True),
            with_vectors=body.with_vector or False,
        )
        return {"points": points, "next_page_offset": following}

    return engine.call(page, name)


@router.post("/points/count")
def count(name: str, body: models.CountRequest, engine: EngineDep) -> Response:
    """Count the points that match."""
    return engine.call(lambda client: client.count(name, count_filter=body.filter), name)


@router.post("/facet")
def facet(name: str, body: models.FacetRequest, engine: EngineDep) -> Response:
    """Count the values of a payload field."""
    limit = _limit(body.limit)
    return engine.call(lambda client: client.facet(name, body.key, facet_filter=body.filter, limit=limit), name)


@router.post("/points/delete")
def delete(name: str, body: models.PointsSelector, engine: EngineDep) -> Response:
    """Delete points, by ids or by a filter."""
    return engine.call(lambda client: client.delete(name, body), name)


@router.post("/points/payload")
def set_payload(name: str, body: models.SetPayload, engine: EngineDep) -> Response:
    """Merge into the payload of points."""
    points = _chosen(body.points, body.filter)
    return engine.call(lambda client: client.set_payload(name, body.payload, points, key=body.key), name)


@router.put("/points/payload")
def overwrite_payload(name: str, body: models.SetPayload, engine: EngineDep) -> Response:
    """Replace the payload of points."""
    points = _chosen(body.points, body.filter)
    return engine.call(lambda client: client.overwrite_payload(name, body.payload, points), name)


@router.post("/points/payload/delete")
def delete_payload(name: str, body: models.DeletePayload, engine: EngineDep) -> Response:
    """Remove keys from the payload of points."""
    points = _chosen(body.points, body.filter)
    return engine.call(lambda client: client.delete_payload(name, body.keys, points), name)


@router.post("/points/payload/clear")
def clear_payload(name: str, body: models.PointsSelector, engine: EngineDep) -> Response:
    """Remove the whole payload of points."""
    return engine.call(lambda client: client.clear_payload(name, body), name)


@router.put("/points/vectors")
def update_vectors(name: str, body: models.UpdateVectors, engine: EngineDep) -> Response:
    """Replace vectors of points."""
    return engine.call(lambda client: client.update_vectors(name, body.points), name)


@router.post("/points/vectors/delete")
def delete_vectors(name: str, body: models.DeleteVectors, engine: EngineDep) -> Response:
    """Remove named vectors of points."""
    points = _chosen(body.points, body.filter)
    return engine.call(lambda client: client.delete_vectors(name, body.vector, points), name)


@router.post("/points/batch")
def update_batch(name: str, body: models.UpdateOperations, engine: EngineDep) -> Response:
    """Apply several changes in order."""
    return engine.call(lambda client: client.batch_update_points(name, body.operations), name)


def _search(client: QdrantClient, name: str, body: models.QueryRequest) -> models.QueryResponse:
    return client.query_points(
        name,
        query=body.query,
        using=body.using,
        prefetch=body.prefetch,
        query_filter=body.filter,
        search_params=body.params,
        score_threshold=body.score_threshold,
        limit=_limit(body.limit),
        offset=body.offset,
        with_payload=_payload(body.with_payload, default=False),
        with_vectors=body.with_vector or False,
        lookup_from=body.lookup_from,
    )


def _chosen(
    points: list[models.ExtendedPointId] | None, condition: models.Filter | None
) -> list[models.ExtendedPointId] | models.Filter:
    """Return what selects the points.

    Raises:
        ValueError: Neither ids nor a filter were given.
    """
    if points is not None:
        return points
    if condition is not None:
        return condition
    raise ValueError("Either points or filter must be given")


def _payload(wanted: models.WithPayloadInterface | None, *, default: bool) -> models.WithPayloadInterface:
    return default if wanted is None else wanted


def _limit(given: int | None, default: int = 10) -> int:
    return default if given is None else given
