"""Embeddings and models over HTTP, in OpenAI's shape."""

from fastapi import APIRouter

from app.dependencies import CallerDep, ServicesDep
from app.inference.schemas import (
    EmbeddingCreate,
    EmbeddingItem,
    EmbeddingList,
    EmbeddingUsage,
    ModelList,
    ModelRead,
    encode_vector,
)

router = APIRouter(prefix="/v1", tags=["inference"])


@router.post("/embeddings")
async def create_embeddings(body: EmbeddingCreate, caller: CallerDep, services: ServicesDep) -> EmbeddingList:
    """Turn texts into vectors."""
    texts = [body.input] if isinstance(body.input, str) else body.input
    result = await services.embeddings.embed(texts, body.model, caller=caller)
    items = [
        EmbeddingItem(index=index, embedding=encode_vector(vector, body.encoding_format))
        for index, vector in enumerate(result.vectors)
    ]
    usage = EmbeddingUsage(prompt_tokens=result.tokens, total_tokens=result.tokens)
    return EmbeddingList(data=items, model=body.model, usage=usage)


@router.get("/models")
async def list_models(_: CallerDep, services: ServicesDep) -> ModelList:
    """List the models that can be named in requests."""
    embedder = services.embeddings.embedder
    model = embedder.model
    entry = ModelRead(id=model.name, created=0, owned_by="local", version=model.version, provider=embedder.provider)
    return ModelList(data=[entry])
