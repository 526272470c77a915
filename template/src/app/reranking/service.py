"""Ordering callers' documents by their relevance to a query."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.auth.caller import Caller, Scope
from app.errors import ModelNotFoundError
from app.inference.served_models import version_order
from app.reranking.ports import Relevance
from app.reranking.reranker import Reranker


@dataclass(frozen=True, slots=True)
class Reranking:
    """Documents in their order, and what ordered them.

    Attributes:
        order: places of the documents, the most relevant first.
        relevance: their scores, in the order in which they were sent.
    """

    order: Sequence[int]
    relevance: Relevance
    reranker: Reranker


@dataclass(frozen=True, slots=True)
class RerankService:
    """Finds what is relevant with the cross-encoders that are registered."""

    rerankers: Sequence[Reranker]

    async def rerank(
        self, query: str, documents: Sequence[str], model: str | None, top_n: int | None, *, caller: Caller
    ) -> Reranking:
        """Order documents by their relevance to a query; of equals, the first to be sent comes first.

        Args:
            query: what is looked for.
            documents: one at least.
            model: name of a cross-encoder, whose newest version is meant, or its identity; None if there is but one.
            top_n: how many are wanted; None is all.
            caller: who asks.

        Raises:
            ForbiddenError: the caller may not.
            ModelNotFoundError: there is no such model.
            OverloadedError: it has too much to do to answer in time.
            UnprocessableError: the query is too long, or there is too much to read.
        """
        caller.require(Scope.RERANK)
        reranker = self._find(model)
        relevance = await reranker.score(query, documents, owner=caller.id)
        order: list[int] = np.argsort(-relevance.scores, kind="stable")[:top_n].tolist()
        return Reranking(order, relevance, reranker)

    def _find(self, model: str | None) -> Reranker:
        if not self.rerankers:
            raise ModelNotFoundError(
                'This service has no model to rerank with: register one with "task": "rerank" in its model.json.'
            )
        names = sorted({each.model.manifest.name for each in self.rerankers})
        if model is None and len(names) > 1:
            raise ModelNotFoundError(f"Say as `model` which to rerank with; this service has {', '.join(names)}.")
        found = find_reranker(self.rerankers, names[0] if model is None else model)
        if found is None:
            raise ModelNotFoundError(f"There is no such model to rerank with; this service has {', '.join(names)}.")
        return found


def find_reranker(rerankers: Sequence[Reranker], named: str) -> Reranker | None:
    """Find the newest version that has a name, or the one that has an identity; None if there is none."""
    found = [each for each in rerankers if each.model.is_called(named)]
    return max(found, key=lambda each: version_order(each.model.manifest.version), default=None)
