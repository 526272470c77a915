"""Extractions over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response, status

from app.connection import while_connected
from app.dependencies import CallerDep, ServicesDep
from app.extraction.schemas import (
    ExtractionBatchAccepted,
    ExtractionBatchCreate,
    ExtractionBatchRead,
    ExtractionCreate,
    ExtractionRead,
)
from app.jobs.schemas import JobRead
from app.reviews.models import Review
from app.reviews.schemas import ReviewRead

router = APIRouter(prefix="/v1/extractions", tags=["extractions"])

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": ExtractionRead},
    202: {"model": ReviewRead, "description": "With `on_failure: review`, an answer that does not fit waits here."},
}


@router.post("", response_model=ExtractionRead | ReviewRead, responses=RESPONSES)
async def extract_data(
    body: ExtractionCreate, caller: CallerDep, services: ServicesDep, request: Request, response: Response
) -> ExtractionRead | ReviewRead:
    """Have a language model take data out of a text, in the shape of your JSON Schema."""
    prompt = body.prompt.as_choice() if body.prompt else None
    work = services.extractions.extract(body.text, body.as_wish(), prompt=prompt, caller=caller)
    found = await while_connected(request, work)
    if isinstance(found, Review):
        response.status_code = status.HTTP_202_ACCEPTED
        return ReviewRead.model_validate(found)
    return ExtractionRead.of(found)


@router.post("/batch", status_code=status.HTTP_202_ACCEPTED)
async def extract_batch(
    body: ExtractionBatchCreate,
    caller: CallerDep,
    services: ServicesDep,
    idempotency_key: Annotated[
        str | None, Header(max_length=200, description="repeats return the first result")
    ] = None,
) -> ExtractionBatchAccepted:
    """Have a job take data out of many texts, each by itself."""
    prompt = body.prompt.as_choice() if body.prompt else None
    batch, job = await services.extractions.submit(
        body.items, body.as_wish(), prompt=prompt, idempotency_key=idempotency_key, caller=caller
    )
    return ExtractionBatchAccepted(id=batch.id, job=JobRead.model_validate(job) if job else None)


@router.get("/batch/{batch_id}")
async def read_extraction_batch(batch_id: UUID, caller: CallerDep, services: ServicesDep) -> ExtractionBatchRead:
    """Show a batch and what has become of each of its texts so far."""
    return ExtractionBatchRead.of(await services.extractions.get_batch(batch_id, caller=caller))
