"""Retrieval of passages for a query, by meaning and by words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import numpy as np

from app.answers.passage_reranking import PassageReranker
from app.answers.word_search import WordSearch, fuse
from app.auth.caller import Caller, Scope
from app.database import Database
from app.documents import repository
from app.documents.ports import VectorMatch, VectorQuery, VectorStore
from app.errors import EmbeddingModelError
from app.inference.embedder import Embedder
from app.observability.spans import span

# Fewest vector matches to merge with those of the search by words.
LEAST_FUSED = 50
# Most vector matches to look through for the requested number of passages.
MOST_MATCHES = 1000


@dataclass(frozen=True, slots=True)
class Filters:
    """Which of the caller's documents to search; empty fields do not filter."""

    document_ids: tuple[UUID, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage that was found.

    Attributes:
        score: cosine similarity to the query, -1 to 1.
        start: character offset in the document's text; `end` likewise.
        page: counted from 1; None if the format has no pages.
        rerank_score: relevance by a cross-encoder, higher is more relevant; None if there is none, or it failed.
        reranker: the identity of that cross-encoder.
    """

    passage_id: UUID
    document_id: UUID
    filename: str
    text: str
    score: float
    start: int
    end: int
    page: int | None
    rerank_score: float | None = None
    reranker: str | None = None


@dataclass(frozen=True, slots=True)
class RetrievalService:
    """Searches the caller's documents.

    Attributes:
        reranker: optional; scores more passages than requested and selects the best.
        words: optional search by words; without it, passages are found by meaning alone.
    """

    database: Database
    vectors: VectorStore
    embedder: Embedder
    reranker: PassageReranker | None = None
    words: WordSearch | None = None

    async def search(
        self, query: str, *, caller: Caller, top_k: int = 5, filters: Filters | None = None
    ) -> list[Passage]:
        """Return the passages that match the query best, best first.

        Raises:
            ForbiddenError: the caller may not search.
            EmbeddingModelError: some of the caller's documents were indexed with another embedding model.
        """
        caller.require(Scope.SEARCH)
        return await self.find(query, caller=caller, top_k=top_k, filters=filters)

    async def find(self, query: str, *, caller: Caller, top_k: int, filters: Filters | None) -> list[Passage]:
        """Search without checking the caller's scope, which the calling use case has done."""
        if self.reranker is None:
            return await self._nearest(query, caller, top_k, filters)
        candidates = await self._nearest(query, caller, self.reranker.candidates(top_k), filters)
        return await _best(self.reranker, query, candidates, caller, top_k)

    async def _nearest(self, query: str, caller: Caller, limit: int, filters: Filters | None) -> list[Passage]:
        document_ids = await self._select_documents(caller, filters or Filters())
        if document_ids is not None and not document_ids:
            return []
        embedding = await self.embedder.embed_query(query, owner=caller.id, within=self.embedder.deadline)
        vector_query = VectorQuery(
            owner_id=caller.id,
            model=self.embedder.model.identity,
            embedding=embedding.tolist(),
            limit=limit,
            document_ids=document_ids,
        )
        word_ranks = await self.words.find(query, caller.id, document_ids) if self.words else {}
        return await self._search(vector_query, word_ranks, caller)

    async def _search(self, query: VectorQuery, word_ranks: Mapping[UUID, int], caller: Caller) -> list[Passage]:
        """Widen the vector search until enough matches belong to ready documents, up to `MOST_MATCHES`."""
        limit = max(query.limit, LEAST_FUSED) if word_ranks else query.limit
        while True:
            with span("search vectors", {"app.limit": limit}):
                matches = await self.vectors.search(replace(query, limit=limit))
            passages = _distinct(await self._load(await self._fuse(query, matches, word_ranks), caller))
            if len(passages) >= query.limit or len(matches) < limit or limit >= MOST_MATCHES:
                return passages[: query.limit]
            limit = min(2 * limit, MOST_MATCHES)

    async def _fuse(
        self, query: VectorQuery, near: Sequence[VectorMatch], word_ranks: Mapping[UUID, int]
    ) -> list[VectorMatch]:
        """Merge the vector matches with those of the search by words; all are scored by cosine similarity."""
        scores = {match.passage_id: match.score for match in near}
        far = [passage_id for passage_id in word_ranks if passage_id not in scores]
        if far:
            others = await self.vectors.search(replace(query, passage_ids=far, limit=len(far)))
            scores |= {match.passage_id: match.score for match in others}
        order = fuse({match.passage_id: rank for rank, match in enumerate(near, start=1)}, word_ranks)
        return [VectorMatch(passage_id, scores[passage_id]) for passage_id in order if passage_id in scores]

    async def _select_documents(self, caller: Caller, filters: Filters) -> Sequence[UUID] | None:
        """Return the documents that match the filters; None stands for all of the caller's."""
        async with self.database.transaction() as session:
            other = await repository.find_other_model(session, caller.id, self.embedder.model.identity)
            if other is not None:
                raise EmbeddingModelError(
                    f"Some documents were indexed with {other}, but this service runs {self.embedder.model.identity}. "
                    "Reindex them: POST /v1/documents/{id}/reindex, or `app reindex` for all."
                )
            if not filters.tags:
                return filters.document_ids or None
            tagged = await repository.ids_with_tags(session, caller.id, filters.tags)
        return [each for each in tagged if each in filters.document_ids] if filters.document_ids else tagged

    async def _load(self, matches: Sequence[VectorMatch], caller: Caller) -> list[Passage]:
        async with self.database.transaction() as session:
            rows = await repository.load_passages(session, caller.id, [match.passage_id for match in matches])
        found = {passage.id: (passage, filename) for passage, filename in rows}
        return [
            Passage(p.id, p.document_id, filename, p.text, match.score, p.start, p.end, p.page)
            for match in matches
            if match.passage_id in found
            for p, filename in [found[match.passage_id]]
        ]


def _distinct(passages: Sequence[Passage]) -> list[Passage]:
    """Drop passages with the same text as a better one, such as those from copies of a document."""
    first: dict[str, Passage] = {}
    for passage in passages:
        first.setdefault(passage.text, passage)
    return list(first.values())


async def _best(
    reranker: PassageReranker, query: str, candidates: Sequence[Passage], caller: Caller, top_k: int
) -> list[Passage]:
    """Return the best by the cross-encoder; ties, and all if it fails, are in order of the search."""
    judged = await reranker.judge(query, [each.text for each in candidates], owner=caller.id)
    if judged is None:
        return list(candidates[:top_k])
    order = np.argsort(-judged.scores, kind="stable")[:top_k]
    return [replace(candidates[at], rerank_score=float(judged.scores[at]), reranker=judged.model) for at in order]
