"""Request and response schemas of documents."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.documents.models import DocumentStatus
from app.jobs.schemas import JobRead
from app.payloads import Payload

Tag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Tags = Annotated[list[Tag], Field(max_length=50, fail_fast=True, examples=[["manual", "2026"]])]


class DocumentRead(BaseModel):
    """A document as its owner sees it."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    filename: str = Field(examples=["warranty.pdf"])
    media_type: str = Field(description="detected from the content", examples=["application/pdf"])
    size: int = Field(description="bytes", examples=[48_213])
    status: DocumentStatus
    error: str | None = Field(description="why the latest ingestion failed", examples=[None])
    tags: Tags
    created_at: datetime


class DocumentAccepted(BaseModel):
    """A document that is being indexed; poll `job` or the document's `status`."""

    document: DocumentRead
    job: JobRead | None


class DocumentChange(Payload):
    """Changes to a document."""

    tags: Tags
