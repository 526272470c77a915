"""Wire types of reranking, in the shape that clients of other rerankers use."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.payloads import Payload
from app.reranking.service import Reranking

MAX_DOCUMENTS = 1000
Document = Annotated[str, Field(min_length=1, max_length=100_000)]


class RerankCreate(Payload):
    """A query and the documents to order."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "query": "How long is the warranty?",
                    "documents": ["Boil the potatoes.", "The warranty lasts 24 months."],
                    "top_n": 1,
                }
            ]
        },
    )

    query: str = Field(min_length=1, max_length=100_000)
    documents: Annotated[list[Document], Field(min_length=1, max_length=MAX_DOCUMENTS, fail_fast=True)] = Field(
        description="texts; each is cut to what the model reads beside the query"
    )
    model: str | None = Field(
        default=None, max_length=256, description="a registered cross-encoder; not needed if there is but one"
    )
    top_n: int | None = Field(default=None, ge=1, description="how many results are wanted; all if left out")
    return_documents: bool = Field(default=False, description="whether results repeat their documents")


class RerankedDocument(BaseModel):
    """The text of a result."""

    text: str


class RerankResult(BaseModel):
    """The index of a document in the request, and its relevance."""

    index: int = Field(examples=[1])
    relevance_score: float = Field(
        description="the higher the better; from 0 to 1 unless the model is registered without activation",
        examples=[0.93],
    )
    document: RerankedDocument | None = Field(default=None, description="left out unless it was asked for")


class RerankUsage(BaseModel):
    """Tokens read; the query counts once for each document."""

    prompt_tokens: int
    total_tokens: int


class RerankList(BaseModel):
    """Results, the most relevant first."""

    model: str = Field(examples=["bge-reranker-base"])
    results: list[RerankResult]
    usage: RerankUsage


def rerank_list(done: Reranking, documents: Sequence[str] | None) -> RerankList:
    """Put results on the wire, with their documents if these are given."""
    scores = done.relevance.scores.round(6).tolist()
    results = [RerankResult(index=at, relevance_score=scores[at]) for at in done.order]
    if documents is not None:
        results = [
            each.model_copy(update={"document": RerankedDocument(text=documents[each.index])}) for each in results
        ]
    tokens = done.relevance.tokens
    usage = RerankUsage(prompt_tokens=tokens, total_tokens=tokens)
    return RerankList(model=done.name, results=results, usage=usage)
