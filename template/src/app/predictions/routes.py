"""Routes for recorded predictions."""

from fastapi import APIRouter

from app.dependencies import CallerDep, PageDep, ServicesDep
from app.pages import Page
from app.predictions.schemas import PredictionRead

router = APIRouter(prefix="/v1/predictions", tags=["predictions"])


@router.get("")
async def list_predictions(page: PageDep, caller: CallerDep, services: ServicesDep) -> Page[PredictionRead]:
    """List the caller's recorded predictions, newest first; a new one may take a moment to appear.

    The list is empty unless the operator has enabled recording.
    """
    predictions, next_cursor = await services.predictions.list_for(page, caller=caller)
    return Page(items=[PredictionRead.model_validate(each) for each in predictions], next_cursor=next_cursor)
