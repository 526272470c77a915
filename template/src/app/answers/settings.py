"""Settings for searches and for answers from documents."""

from pydantic import BaseModel, ConfigDict, Field


class AnswersSettings(BaseModel):
    """Limits of answers from documents."""

    model_config = ConfigDict(extra="forbid")

    max_tokens: int = Field(default=4096, ge=1, description="most tokens of an answer, including the model's reasoning")


class SearchSettings(BaseModel):
    """Settings for finding passages, for searches and for answers."""

    model_config = ConfigDict(extra="forbid")

    words: bool = Field(default=True, description="search by words in addition to meaning")
    words_timeout: float = Field(default=0.3, gt=0, description="timeout of the search by words, in seconds")
    reranker: str = Field(default="", description="the registered cross-encoder that reranks passages; empty for none")
    candidates_per_passage: int = Field(default=4, ge=1, le=50, description="passages to rerank for each one requested")
    max_candidates: int = Field(default=100, ge=1, le=500, description="most passages to rerank, unless more requested")
    rerank_timeout: float = Field(default=5.0, gt=0, description="timeout of the cross-encoder, in seconds")
