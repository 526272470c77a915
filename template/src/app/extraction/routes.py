"""HTTP routes for extractions."""

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
    202: {
        "model": ReviewRead,
        "description": "With `on_failure: review`: the review of an answer that does not match the schema.",
    },
}


@router.post("", response_model=ExtractionRead | ReviewRead, responses=RESPONSES)
async def extract_data(
    body: ExtractionCreate, caller: CallerDep, services: ServicesDep, request: Request, response: Response
) -> ExtractionRead | ReviewRead:
    """Extract data from a text with a language model, according to your JSON Schema."""
    prompt = body.prompt.as_choice() if body.prompt else None
    work = services.extractions.extract(body.text, body.as_options(), prompt=prompt, caller=caller)
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
    """Start a job that extracts data from each of the texts."""
    prompt = body.prompt.as_choice() if body.prompt else None
    batch, job = await services.extractions.submit(
        body.items, body.as_options(), prompt=prompt, idempotency_key=idempotency_key, caller=caller
    )
    return ExtractionBatchAccepted(id=batch.id, job=JobRead.model_validate(job) if job else None)


@router.get("/batch/{batch_id}")
async def read_extraction_batch(batch_id: UUID, caller: CallerDep, services: ServicesDep) -> ExtractionBatchRead:
    """Return a batch with the state and result of each text."""
    return ExtractionBatchRead.of(await services.extractions.get_batch(batch_id, caller=caller))
