"""The tables of documents and their passages."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Record, Table


class DocumentStatus(StrEnum):
    """The indexing status of a document."""

    RECEIVED = "received"
    PROCESSING = "processing"
    READY = "ready"
    FAILED = "failed"


class Document(Record):
    """An uploaded file.

    `job_id` is its latest ingestion, null once that job is deleted; `embedding_model` is the identity of the model that
    its vectors come from.
    """

    __tablename__ = "documents"
    __table_args__ = (
        Index("ix_documents_owner_id_created_at", "owner_id", "created_at", "id"),
        Index("ix_documents_owner_id_embedding_model", "owner_id", "embedding_model"),
        Index("ix_documents_job_id", "job_id"),
        UniqueConstraint("owner_id", "idempotency_key"),
    )

    owner_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    job_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="SET NULL"))
    filename: Mapped[str]
    media_type: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=DocumentStatus.RECEIVED)
    error: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(ARRAY(String))
    embedding_model: Mapped[str | None]
    idempotency_key: Mapped[str | None]


class Passage(Table):
    """A piece of a document, the unit of search and citation.

    `start` and `end` are character offsets into the document's extracted text; `page` counts from 1 and is null if the
    format has no pages. `owner_id` is the document's, copied for the word index.
    """

    __tablename__ = "passages"
    __table_args__ = (
        Index("ix_passages_document_id", "document_id"),
        Index("ix_passages_owner_id_words", "owner_id", text("to_tsvector('simple', text)"), postgresql_using="gin"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    document_id: Mapped[UUID] = mapped_column(ForeignKey("documents.id", ondelete="CASCADE"))
    owner_id: Mapped[UUID | None]
    text: Mapped[str]
    start: Mapped[int]
    end: Mapped[int]
    page: Mapped[int | None]
