"""Ordering callers' documents by their relevance to a query."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.auth.caller import Caller, Scope
from app.errors import ModelNotFoundError
from app.inference.served_models import ServedModels
from app.reranking.ports import Relevance
from app.reranking.registered import Rerankers


@dataclass(frozen=True, slots=True)
class Reranking:
    """Ordered documents and the model that ordered them.

    Attributes:
        order: places of the documents, the most relevant first.
        relevance: their scores, in the order in which they were sent.
        name: of the cross-encoder; `identity` has its version, too.
        provider: what it ran on.
    """

    order: Sequence[int]
    relevance: Relevance
    name: str
    identity: str
    provider: str


@dataclass(frozen=True, slots=True)
class RerankService:
    """Reranks with the registered cross-encoders."""

    rerankers: Rerankers
    models: ServedModels

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
        # What is held stays open, even if the operator puts another in its place.
        with self.rerankers.lease(self.models, self._choose(model)) as reranker:
            relevance = await reranker.score(query, documents, owner=caller.id)
            order: list[int] = np.argsort(-relevance.scores, kind="stable")[:top_n].tolist()
            return Reranking(order, relevance, reranker.model.manifest.name, reranker.identity, reranker.provider)

    def _choose(self, model: str | None) -> str:
        names = self.rerankers.names(self.models)
        if not names:
            raise ModelNotFoundError(
                'This service has no model to rerank with: register one with "task": "rerank" in its model.json.'
            )
        if model is None and len(names) > 1:
            raise ModelNotFoundError(f"Say as `model` which to rerank with; this service has {', '.join(names)}.")
        return names[0] if model is None else model
