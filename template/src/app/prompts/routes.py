"""HTTP routes for prompts."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, status

from app.dependencies import CallerDep, PageDep, ServicesDep
from app.pages import Page
from app.prompts.models import Prompt
from app.prompts.schemas import NEWEST_VERSION, PromptCreate, PromptName, PromptRead

router = APIRouter(prefix="/v1/prompts", tags=["prompts"])

VersionPath = Annotated[int, Path(ge=1, le=NEWEST_VERSION)]


@router.post("", status_code=status.HTTP_201_CREATED, response_model=PromptRead)
async def create_prompt(
    body: PromptCreate,
    caller: CallerDep,
    services: ServicesDep,
    idempotency_key: Annotated[
        str | None, Header(max_length=200, description="repeats return the first result")
    ] = None,
) -> Prompt:
    """Store the next version of a prompt as a draft; requires the scope prompts:write."""
    return await services.prompts.create(
        body.name, body.text, body.variables, idempotency_key=idempotency_key, caller=caller
    )


@router.get("")
async def list_prompts(
    page: PageDep,
    caller: CallerDep,
    services: ServicesDep,
    name: Annotated[PromptName | None, Query(description="only versions of this prompt")] = None,
) -> Page[PromptRead]:
    """List versions of prompts, newest first."""
    prompts, next_cursor = await services.prompts.list_all(page, name=name, caller=caller)
    return Page(items=[PromptRead.model_validate(prompt) for prompt in prompts], next_cursor=next_cursor)


@router.get("/{name}/versions/{version}", response_model=PromptRead)
async def read_prompt(name: PromptName, version: VersionPath, caller: CallerDep, services: ServicesDep) -> Prompt:
    """Return one version of a prompt."""
    return await services.prompts.get(name, version, caller=caller)


@router.post("/{name}/versions/{version}/activate", response_model=PromptRead)
async def activate_prompt(name: PromptName, version: VersionPath, caller: CallerDep, services: ServicesDep) -> Prompt:
    """Activate a version and retire the previous one; activating an older version rolls back."""
    return await services.prompts.activate(name, version, caller=caller)


@router.post("/{name}/versions/{version}/retire", response_model=PromptRead)
async def retire_prompt(name: PromptName, version: VersionPath, caller: CallerDep, services: ServicesDep) -> Prompt:
    """Retire a version; it can still be requested explicitly."""
    return await services.prompts.retire(name, version, caller=caller)
