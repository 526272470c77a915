"""Request and response schemas of searches and answers."""

from collections.abc import Sequence
from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.answers.retrieval import Filters as SearchFilters
from app.answers.retrieval import Passage
from app.answers.service import Answer
from app.chat.ports import FinishReason
from app.payloads import Payload
from app.prompts.schemas import PromptUse

MAX_TOP_K = 50

NO_NUL = r"^[^\x00]*$"  # PostgreSQL stores no NUL characters, so nothing that contains one can be found
Question = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000, pattern=NO_NUL)]
TopK = Annotated[int, Field(ge=1, le=MAX_TOP_K, description="most passages to return")]
FilterTag = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=NO_NUL)]


def _is_none(value: object) -> bool:
    return value is None


class Filters(Payload):
    """Filters that documents must match; omit a field to not filter by it."""

    document_ids: Annotated[list[UUID], Field(min_length=1, max_length=100, fail_fast=True)] | None = Field(
        default=None, description="only these documents", examples=[None]
    )
    tags: Annotated[list[FilterTag], Field(min_length=1, max_length=50, fail_fast=True)] | None = Field(
        default=None, description="only documents with all of these", examples=[["manual"]]
    )

    def as_search_filters(self) -> SearchFilters:
        """Return the filters as the search takes them."""
        return SearchFilters(tuple(self.document_ids or ()), tuple(self.tags or ()))


class SearchCreate(Payload):
    """A search request."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": "How long does the warranty last?", "top_k": 3}]},
    )

    query: Question
    top_k: TopK = 5
    filters: Filters | None = None


class AnswerCreate(Payload):
    """A question to answer."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"question": "How long does the warranty last?", "stream": False}]},
    )

    question: Question
    stream: bool = Field(default=False, description="send the answer as server-sent events while it is written")
    top_k: TopK = 5
    filters: Filters | None = None
    prompt: PromptUse | None = Field(
        default=None, description="stored prompt that replaces the default rules for answers", examples=[None]
    )


class PassageRead(BaseModel):
    """A passage that was found."""

    model_config = ConfigDict(from_attributes=True)

    passage_id: UUID
    document_id: UUID
    filename: str = Field(examples=["warranty.pdf"])
    text: str = Field(examples=["The warranty lasts 24 months from the date of purchase."])
    score: float = Field(description="cosine similarity to the query, -1 to 1", examples=[0.83])
    start: int = Field(description="character offset in the document's text", examples=[1204])
    end: int = Field(description="character offset in the document's text", examples=[1259])
    page: int | None = Field(description="counted from 1; null if the format has no pages", examples=[3])
    rerank_score: float | None = Field(
        default=None,
        exclude_if=_is_none,
        description="relevance by the cross-encoder, by which passages are sorted; higher is better, comparable only "
        "within one response; omitted if no cross-encoder scored the passages",
        examples=[0.97],
    )


class SearchRead(BaseModel):
    """Passages that match, best first."""

    items: list[PassageRead]
    model: str = Field(description="the embedding model that was used", examples=["static-minilm@1"])
    reranker: str | None = Field(
        default=None,
        exclude_if=_is_none,
        description="the cross-encoder that sorted the passages; omitted if none did",
        examples=["bge-reranker-base@1"],
    )

    @classmethod
    def of(cls, passages: Sequence[Passage], model: str) -> Self:
        """Create the response from passages, best first; `model` is the identity of the embedding model."""
        items = [PassageRead.model_validate(passage) for passage in passages]
        return cls(items=items, model=model, reranker=passages[0].reranker if passages else None)


class CitationRead(BaseModel):
    """A quote from a document that supports a claim of the answer."""

    model_config = ConfigDict(from_attributes=True)

    marker: int = Field(description="appears in the answer as [marker]", examples=[1])
    document_id: UUID
    passage_id: UUID
    start: int = Field(description="character offset of the quote in the document's text", examples=[1204])
    end: int = Field(description="character offset of the quote in the document's text", examples=[1259])
    page: int | None = Field(description="counted from 1; null if the format has no pages", examples=[3])
    quote: str = Field(
        description="the document's text from start to end, verbatim",
        examples=["The warranty lasts 24 months from the date of purchase."],
    )


class UsageRead(BaseModel):
    """Tokens that the language model read and wrote; `offline:extractive` counts words."""

    model_config = ConfigDict(from_attributes=True)

    input_tokens: int = Field(examples=[412])
    output_tokens: int = Field(examples=[23])


class AnswerRead(BaseModel):
    """An answer with its citations."""

    model_config = ConfigDict(from_attributes=True)

    answer: str = Field(examples=["The warranty lasts 24 months from the date of purchase. [1]"])
    citations: list[CitationRead]
    model: str = Field(description="the language model that wrote the answer", examples=["offline:extractive"])
    usage: UsageRead
    finish_reason: FinishReason = Field(
        description="why the answer ends: `stop` if the model was done, `length` if a limit cut it off",
        examples=["stop"],
    )

    @classmethod
    def of(cls, answer: Answer) -> Self:
        """Create the response from an answer."""
        return cls(
            answer=answer.text,
            citations=[CitationRead.model_validate(citation) for citation in answer.citations],
            model=answer.model,
            usage=UsageRead.model_validate(answer.usage),
            finish_reason=answer.finish_reason,
        )
