"""Extractions over HTTP."""

from fastapi import APIRouter, Request

from app.connection import while_connected
from app.dependencies import CallerDep, ServicesDep
from app.extraction.schemas import ExtractionCreate, ExtractionRead

router = APIRouter(prefix="/v1/extractions", tags=["extractions"])


@router.post("")
async def extract_data(
    body: ExtractionCreate, caller: CallerDep, services: ServicesDep, request: Request
) -> ExtractionRead:
    """Have a language model take data out of a text, in the shape of your JSON Schema."""
    work = services.extractions.extract(body.text, body.as_wish(), caller=caller)
    return ExtractionRead.of(await while_connected(request, work))
