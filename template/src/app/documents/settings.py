"""Settings for documents."""

from pydantic import BaseModel, ConfigDict, Field


class DocumentsSettings(BaseModel):
    """Size limits of documents, and the length of passages."""

    model_config = ConfigDict(extra="forbid")

    max_bytes: int = Field(default=50_000_000, ge=1, description="largest file that is accepted, in bytes")
    max_stored_bytes: int = Field(
        default=1_000_000_000, ge=0, description="most bytes that one account may store; 0 for no limit"
    )
    max_pages: int = Field(default=5_000, ge=1, description="most pages of a PDF")
    max_characters: int = Field(default=50_000_000, ge=1, description="most characters of text in a file")
    reading_seconds: float = Field(default=300, gt=0, description="seconds after which reading a file is aborted")
    passage_tokens: int = Field(default=200, ge=16, description="longest passage, in tokens of the embedding model")
