"""Extractions over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Header, Request, status

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

router = APIRouter(prefix="/v1/extractions", tags=["extractions"])


@router.post("")
async def extract_data(
    body: ExtractionCreate, caller: CallerDep, services: ServicesDep, request: Request
) -> ExtractionRead:
    """Have a language model take data out of a text, in the shape of your JSON Schema."""
    work = services.extractions.extract(body.text, body.as_wish(), caller=caller)
    return ExtractionRead.of(await while_connected(request, work))


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
    batch, job = await services.extractions.submit(
        body.items, body.as_wish(), idempotency_key=idempotency_key, caller=caller
    )
    return ExtractionBatchAccepted(id=batch.id, job=JobRead.model_validate(job) if job else None)


@router.get("/batch/{batch_id}")
async def read_extraction_batch(batch_id: UUID, caller: CallerDep, services: ServicesDep) -> ExtractionBatchRead:
    """Show a batch and what has become of each of its texts so far."""
    return ExtractionBatchRead.of(await services.extractions.get_batch(batch_id, caller=caller))
