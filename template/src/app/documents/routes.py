"""HTTP routes for documents."""

from collections.abc import AsyncIterator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Header, UploadFile, status

from app.dependencies import CallerDep, PageDep, ServicesDep
from app.documents.models import Document
from app.documents.schemas import DocumentAccepted, DocumentChange, DocumentRead, Tag
from app.documents.service import NewFile
from app.jobs.models import Job
from app.jobs.schemas import JobRead
from app.pages import Page

router = APIRouter(prefix="/v1/documents", tags=["documents"])

CHUNK_BYTES = 1 << 20


@router.post("", status_code=status.HTTP_202_ACCEPTED)
async def upload_document(
    file: UploadFile,
    caller: CallerDep,
    services: ServicesDep,
    tags: Annotated[list[Tag], Form(max_length=50)] = [],  # noqa: B006 - FastAPI copies defaults
    idempotency_key: Annotated[
        str | None,
        Header(max_length=200, description="a repeated request with the same key returns the first result"),
    ] = None,
) -> DocumentAccepted:
    """Upload a PDF, HTML, Markdown or text file; a job indexes it in the background."""
    head = await file.read(CHUNK_BYTES)
    new = NewFile(file.filename or "unnamed", head, _chunks(head, file))
    document, job = await services.documents.upload(new, tags, idempotency_key=idempotency_key, caller=caller)
    return _accepted(document, job)


@router.get("")
async def list_documents(page: PageDep, caller: CallerDep, services: ServicesDep) -> Page[DocumentRead]:
    """List the caller's documents, newest first."""
    documents, next_cursor = await services.documents.list_for(page, caller=caller)
    return Page(items=[DocumentRead.model_validate(document) for document in documents], next_cursor=next_cursor)


@router.get("/{document_id}", response_model=DocumentRead)
async def read_document(document_id: UUID, caller: CallerDep, services: ServicesDep) -> Document:
    """Return a document."""
    return await services.documents.get(document_id, caller=caller)


@router.patch("/{document_id}", response_model=DocumentRead)
async def change_document(
    document_id: UUID, body: DocumentChange, caller: CallerDep, services: ServicesDep
) -> Document:
    """Replace a document's tags."""
    return await services.documents.change_tags(document_id, body.tags, caller=caller)


@router.delete("/{document_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_document(document_id: UUID, caller: CallerDep, services: ServicesDep) -> None:
    """Delete a document; searches no longer find it."""
    await services.documents.delete(document_id, caller=caller)


@router.post("/{document_id}/reindex", status_code=status.HTTP_202_ACCEPTED)
async def reindex_document(document_id: UUID, caller: CallerDep, services: ServicesDep) -> DocumentAccepted:
    """Reindex a document in the background."""
    return _accepted(*await services.documents.reindex(document_id, caller=caller))


def _accepted(document: Document, job: Job | None) -> DocumentAccepted:
    return DocumentAccepted(
        document=DocumentRead.model_validate(document), job=JobRead.model_validate(job) if job else None
    )


async def _chunks(head: bytes, file: UploadFile) -> AsyncIterator[bytes]:
    yield head
    while part := await file.read(CHUNK_BYTES):
        yield part
