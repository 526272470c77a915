"""Embeddings and models over HTTP, in OpenAI's shape."""

from fastapi import APIRouter, Response

from app.dependencies import CallerDep, ServicesDep
from app.inference.schemas import (
    EmbeddingCreate,
    EmbeddingList,
    ModelList,
    ModelRead,
    write_embeddings,
)

router = APIRouter(prefix="/v1", tags=["inference"])


@router.post("/embeddings", response_model=EmbeddingList)
async def create_embeddings(body: EmbeddingCreate, caller: CallerDep, services: ServicesDep) -> Response:
    """Turn texts, or their token ids, into vectors; what the model cannot read whole is refused."""
    result = await services.embeddings.embed(body.inputs, body.model, body.dimensions, caller=caller)
    content = write_embeddings(result.vectors, body.encoding_format, model=body.model, tokens=result.tokens)
    return Response(content, media_type="application/json")


@router.get("/models")
async def list_models(_: CallerDep, services: ServicesDep) -> ModelList:
    """List the models that can be named in requests."""
    embedder = services.embeddings.embedder
    model = embedder.model
    entry = ModelRead(id=model.name, created=0, owned_by="local", version=model.version, provider=embedder.provider)
    return ModelList(data=[entry])
