"""Finding the passages that a question is about, by meaning and by words."""

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

# Matches that are merged, at least, with those of the search by words.
LEAST_FUSED = 50
# Matches that a search looks through, at most, for as many passages as are wanted.
MOST_MATCHES = 1000


@dataclass(frozen=True, slots=True)
class Filters:
    """Which of the caller's documents to search; empty fields do not restrict."""

    document_ids: tuple[UUID, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage that was found.

    Attributes:
        score: cosine similarity to the query, -1 to 1.
        start: character offset in the document's text; `end` likewise.
        page: counted from 1; None where the format has no pages.
        rerank_score: what a cross-encoder makes of query and passage, the higher, the more relevant; None if it was
            not asked, or gave no answer.
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
        reranker: takes a second look at more passages than are wanted; None if nothing does.
        words: finds passages by words; None searches by meaning alone.
    """

    database: Database
    vectors: VectorStore
    embedder: Embedder
    reranker: PassageReranker | None = None
    words: WordSearch | None = None

    async def search(
        self, query: str, *, caller: Caller, top_k: int = 5, filters: Filters | None = None
    ) -> list[Passage]:
        """Find the passages that fit the query best, best first.

        Raises:
            ForbiddenError: the caller may not search.
            EmbeddingModelError: some of the caller's documents were indexed with another embedding model.
        """
        caller.require(Scope.SEARCH)
        return await self.find(query, caller=caller, top_k=top_k, filters=filters)

    async def find(self, query: str, *, caller: Caller, top_k: int, filters: Filters | None) -> list[Passage]:
        """Do what `search` does as a part of another use case, which has checked what the caller may do."""
        if self.reranker is None:
            return await self._nearest(query, caller, top_k, filters)
        candidates = await self._nearest(query, caller, self.reranker.candidates(top_k), filters)
        return await _best(self.reranker, query, candidates, caller, top_k)

    async def _nearest(self, query: str, caller: Caller, limit: int, filters: Filters | None) -> list[Passage]:
        document_ids = await self._scope(caller, filters or Filters())
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
        worded = await self.words.find(query, caller.id, document_ids) if self.words else {}
        return await self._search(vector_query, worded, caller)

    async def _search(self, query: VectorQuery, worded: Mapping[UUID, int], caller: Caller) -> list[Passage]:
        """Find passages that may be shown, although others may be nearer: of documents not indexed yet, or deleted."""
        limit = max(query.limit, LEAST_FUSED) if worded else query.limit
        while True:
            with span("search vectors", {"app.limit": limit}):
                matches = await self.vectors.search(replace(query, limit=limit))
            passages = _distinct(await self._load(await self._fuse(query, matches, worded), caller))
            if len(passages) >= query.limit or len(matches) < limit or limit >= MOST_MATCHES:
                return passages[: query.limit]
            limit = min(2 * limit, MOST_MATCHES)

    async def _fuse(
        self, query: VectorQuery, near: Sequence[VectorMatch], worded: Mapping[UUID, int]
    ) -> list[VectorMatch]:
        """Merge what is near in meaning with what shares words; the score is the cosine for all of them."""
        scores = {match.passage_id: match.score for match in near}
        far = [passage_id for passage_id in worded if passage_id not in scores]
        if far:
            others = await self.vectors.search(replace(query, passage_ids=far, limit=len(far)))
            scores |= {match.passage_id: match.score for match in others}
        order = fuse({match.passage_id: rank for rank, match in enumerate(near, start=1)}, worded)
        return [VectorMatch(passage_id, scores[passage_id]) for passage_id in order if passage_id in scores]

    async def _scope(self, caller: Caller, filters: Filters) -> Sequence[UUID] | None:
        """Resolve filters to documents; None stands for all."""
        async with self.database.transaction() as session:
            other = await repository.find_other_model(session, caller.id, self.embedder.model.identity)
            if other is not None:
                raise EmbeddingModelError(
                    f"Some documents were indexed with {other}, but this service runs {self.embedder.model.identity}. "
                    "Index them anew: POST /v1/documents/{id}/reindex, or `app reindex` for all."
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
    """Leave out passages that say what a better one says, as those of copies of a document do."""
    first: dict[str, Passage] = {}
    for passage in passages:
        first.setdefault(passage.text, passage)
    return list(first.values())


async def _best(
    reranker: PassageReranker, query: str, candidates: Sequence[Passage], caller: Caller, top_k: int
) -> list[Passage]:
    """Choose those that the cross-encoder puts first; of equals, and where it gives no answer, the nearest."""
    judged = await reranker.judge(query, [each.text for each in candidates], owner=caller.id)
    if judged is None:
        return list(candidates[:top_k])
    order = np.argsort(-judged.scores, kind="stable")[:top_k]
    return [replace(candidates[at], rerank_score=float(judged.scores[at]), reranker=judged.model) for at in order]
