"""Request and response schemas of reranking, compatible with clients of other rerankers."""

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
        description="texts, each truncated to the room that the query leaves"
    )
    model: str | None = Field(
        default=None,
        max_length=256,
        description="a registered cross-encoder; by default the one that the operator has chosen, or the only one",
    )
    top_n: int | None = Field(default=None, ge=1, description="number of results to return; all by default")
    return_documents: bool = Field(default=False, description="whether results include their documents")


class RerankedDocument(BaseModel):
    """The text of a result."""

    text: str


class RerankResult(BaseModel):
    """A document's index in the request and its relevance."""

    index: int = Field(examples=[1])
    relevance_score: float = Field(
        description="higher is more relevant; from 0 to 1 unless the model is registered without activation",
        examples=[0.93],
    )
    document: RerankedDocument | None = Field(default=None, description="only with `return_documents`")


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
    """Return the response, with the documents' texts if they are given."""
    scores = done.relevance.scores.round(6).tolist()
    results = [RerankResult(index=at, relevance_score=scores[at]) for at in done.order]
    if documents is not None:
        results = [
            each.model_copy(update={"document": RerankedDocument(text=documents[each.index])}) for each in results
        ]
    tokens = done.relevance.tokens
    usage = RerankUsage(prompt_tokens=tokens, total_tokens=tokens)
    return RerankList(model=done.name, results=results, usage=usage)
