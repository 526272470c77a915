"""Routes for embeddings and the list of models, compatible with OpenAI's API."""

from fastapi import APIRouter, Request, Response

from app.connection import while_connected
from app.dependencies import CallerDep, ServicesDep
from app.errors import ModelNotFoundError
from app.inference.model_headers import model_headers
from app.inference.schemas import (
    EmbeddingCreate,
    EmbeddingList,
    ModelList,
    ModelRead,
    write_embeddings,
)
from app.openai_errors import OPENAI_FAILURE

router = APIRouter(prefix="/v1", tags=["inference"])


@router.post("/embeddings", response_model=EmbeddingList, responses=OPENAI_FAILURE)
async def create_embeddings(
    body: EmbeddingCreate, caller: CallerDep, services: ServicesDep, request: Request
) -> Response:
    """Embed texts or token ids. Inputs that are too long for the model are rejected, not truncated.

    Response headers give the model, what it ran on, and the time in the queue and in the model.
    """
    work = services.embeddings.embed(body.inputs, body.model, body.dimensions, caller=caller)
    result = await while_connected(request, work)
    content = await write_embeddings(result.vectors, body.encoding_format, model=body.model, tokens=result.tokens)
    embedder = services.embeddings.embedder
    headers = model_headers(
        embedder.model.identity,
        embedder.provider,
        queue_seconds=result.queue_seconds,
        run_seconds=result.run_seconds,
    )
    return Response(content, media_type="application/json", headers=headers)


@router.get("/models", responses=OPENAI_FAILURE)
async def list_models(_: CallerDep, services: ServicesDep) -> ModelList:
    """List the embedding and chat models that requests can use."""
    return ModelList(data=_models(services))


@router.get("/models/{name:path}", responses=OPENAI_FAILURE)
async def read_model(name: str, _: CallerDep, services: ServicesDep) -> ModelRead:
    """Return the model with this name."""
    for model in _models(services):
        if model.id == name:
            return model
    raise ModelNotFoundError("There is no such model; GET /v1/models lists the available ones.")


def _models(services: ServicesDep) -> list[ModelRead]:
    embedder = services.embeddings.embedder
    model = embedder.model
    entry = ModelRead(id=model.name, created=0, owned_by="local", version=model.version, provider=embedder.provider)
    chat = [
        ModelRead(id=name, created=0, owned_by=each.name.partition(":")[0], version=None, provider=each.name)
        for name, each in services.chat.language_models.items()
    ]
    return [entry, *chat]
