"""The stand-in's collections, aliases and payload indexes."""

from fastapi import APIRouter, Response
from qdrant_client import QdrantClient
from qdrant_client.http import models

from devstack.qdrant_engine import EngineDep

router = APIRouter()
_DONE = {"operation_id": 0, "status": "completed"}


@router.get("/collections")
def list_collections(engine: EngineDep) -> Response:
    """List the collections."""
    return engine.call(lambda client: client.get_collections())


@router.get("/collections/{name}/exists")
def collection_exists(name: str, engine: EngineDep) -> Response:
    """Say whether a collection exists."""
    return engine.call(lambda client: {"exists": client.collection_exists(name)})


@router.get("/collections/{name}")
def get_collection(name: str, engine: EngineDep) -> Response:
    """Describe a collection, its payload indexes included."""

    def describe(client: QdrantClient) -> models.CollectionInfo:
        information = client.get_collection(name)
        indexed = engine.indexes.get(name, {}).items()
        information.payload_schema = {
            path: models.PayloadIndexInfo(data_type=models.PayloadSchemaType(kind), points=0) for path, kind in indexed
        }
        return information

    return engine.call(describe, name)


@router.put("/collections/{name}")
def create_collection(name: str, body: models.CreateCollection, engine: EngineDep) -> Response:
    """Create a collection; one with this name is a conflict."""
    return engine.call(
        lambda client: client.create_collection(
            name, vectors_config=body.vectors, sparse_vectors_config=body.sparse_vectors, metadata=body.metadata
        )
    )


@router.patch("/collections/{name}")
def update_collection(name: str, body: models.UpdateCollection, engine: EngineDep) -> Response:
    """Change a collection; what only tunes a real server is accepted and has no effect."""
    return engine.call(
        lambda client: client.update_collection(
            name, vectors_config=body.vectors, sparse_vectors_config=body.sparse_vectors, metadata=body.metadata
        ),
        name,
    )


@router.delete("/collections/{name}")
def delete_collection(name: str, engine: EngineDep) -> Response:
    """Delete a collection; the result says whether there was one."""

    def delete(client: QdrantClient) -> bool:
        if engine.indexes.pop(name, None) is not None:
            engine.keep_indexes()
        return client.delete_collection(name)

    return engine.call(delete)


@router.put("/collections/{name}/index")
def create_index(name: str, body: models.CreateFieldIndex, engine: EngineDep) -> Response:
    """Record a payload index; searches here read every point anyway."""

    def create(client: QdrantClient) -> dict[str, object]:
        client.create_payload_index(name, body.field_name, body.field_schema)
        schema = body.field_schema or models.PayloadSchemaType.KEYWORD
        kind = models.PayloadSchemaType(getattr(schema, "type", schema))
        engine.indexes.setdefault(name, {})[body.field_name] = kind.value
        engine.keep_indexes()
        return dict(_DONE)

    return engine.call(create, name)


@router.delete("/collections/{name}/index/{path}")
def delete_index(name: str, path: str, engine: EngineDep) -> Response:
    """Forget a payload index."""

    def delete(client: QdrantClient) -> dict[str, object]:
        client.delete_payload_index(name, path)
        engine.indexes.get(name, {}).pop(path, None)
        engine.keep_indexes()
        return dict(_DONE)

    return engine.call(delete, name)


@router.post("/collections/aliases")
def change_aliases(body: models.ChangeAliasesOperation, engine: EngineDep) -> Response:
    """Create, rename or delete aliases, all or none."""
    return engine.call(lambda client: client.update_collection_aliases(body.actions))


@router.get("/collections/{name}/aliases")
def collection_aliases(name: str, engine: EngineDep) -> Response:
    """List a collection's aliases."""
    return engine.call(lambda client: client.get_collection_aliases(name), name)


@router.get("/aliases")
def list_aliases(engine: EngineDep) -> Response:
    """List all aliases."""
    return engine.call(lambda client: client.get_aliases())
