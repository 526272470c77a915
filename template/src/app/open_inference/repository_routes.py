"""The model repository extension of the Open Inference Protocol: the operator loads and unloads models."""

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
    """Describe a body that may be missing: clients send none, or JSON without saying so."""
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
    """Serve a model as its folders have it now, in this process; answers when it does. Needs the scope `models`."""
    body = await _read(RepositoryModelRequest, request)
    if body.parameters:
        raise UnprocessableError("A model is loaded from its folder alone: send no configuration and no files.")
    await services.open_inference.load(name, caller=caller)
    return Response()


@router.post("/models/{name}/unload", openapi_extra=_body(RepositoryModelRequest))
async def unload_model(name: str, caller: CallerDep, services: ServicesDep, request: Request) -> Response:
    """Serve a model no more, in this process; answers when its last request is done. Needs the scope `models`."""
    await _read(RepositoryModelRequest, request)
    await services.open_inference.unload(name, caller=caller)
    return Response()


async def _read(schema: type[Body], request: Request) -> Body:
    try:
        return schema.model_validate_json(await request.body() or b"{}")
    except ValidationError as error:
        raise UnprocessableError("The body must be empty, or JSON as the protocol's extension says.") from error
