"""Routes of the Open Inference Protocol's model repository extension: list, load and unload models."""

from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ValidationError

from app.dependencies import CallerDep, ServicesDep
from app.errors import UnprocessableError
from app.open_inference.schemas import RepositoryIndexRequest, RepositoryModelRead, RepositoryModelRequest
from app.open_inference_errors import OPEN_INFERENCE_FAILURE, PREFIX

router = APIRouter(prefix=f"{PREFIX}/repository", tags=["open inference"], responses=OPEN_INFERENCE_FAILURE)

Body = TypeVar("Body", bound=BaseModel)


def _body(schema: type[BaseModel]) -> dict[str, Any]:
    """Return the OpenAPI description of an optional body; clients send none, or JSON without its content type."""
    content = {"application/json": {"schema": schema.model_json_schema()}}
    return {"requestBody": {"required": False, "content": content}}


@router.post("/index", openapi_extra=_body(RepositoryIndexRequest))
async def repository_index(caller: CallerDep, services: ServicesDep, request: Request) -> list[RepositoryModelRead]:
    """List the models that are registered or served; needs the scope `models`."""
    body = await _read(RepositoryIndexRequest, request)
    index = await services.open_inference.index(caller=caller)
    return [
        RepositoryModelRead(name=name, version=version, state="READY", reason="")
        if ready
        else RepositoryModelRead(name=name, version=version, state="UNAVAILABLE", reason="not loaded")
        for (name, version), ready in sorted(index.items())
        if ready or not body.ready
    ]


@router.post("/models/{name}/load", openapi_extra=_body(RepositoryModelRequest))
async def load_model(name: str, caller: CallerDep, services: ServicesDep, request: Request) -> Response:
    """Load or reload a model from its folders into this process; responds when it is served. Needs the scope `models`.

    Running requests may finish on versions that are replaced.
    """
    body = await _read(RepositoryModelRequest, request)
    if body.parameters:
        raise UnprocessableError("A model is loaded from its folder alone: send no configuration and no files.")
    await services.open_inference.load(name, caller=caller)
    return Response()


@router.post("/models/{name}/unload", openapi_extra=_body(RepositoryModelRequest))
async def unload_model(name: str, caller: CallerDep, services: ServicesDep, request: Request) -> Response:
    """Unload a model from this process; responds when its last request has finished. Needs the scope `models`."""
    await _read(RepositoryModelRequest, request)
    await services.open_inference.unload(name, caller=caller)
    return Response()


async def _read(schema: type[Body], request: Request) -> Body:
    try:
        return schema.model_validate_json(await request.body() or b"{}")
    except ValidationError as error:
        raise UnprocessableError("The body must be empty, or JSON as the protocol's extension says.") from error
