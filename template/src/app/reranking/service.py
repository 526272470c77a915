"""Reranking for callers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.auth.caller import Caller, Scope
from app.errors import ModelNotFoundError
from app.inference.served_models import DEFAULT, ServedModels
from app.reranking.ports import Relevance
from app.reranking.registered import Rerankers


@dataclass(frozen=True, slots=True)
class Reranking:
    """Ordered documents and the model that ordered them.

    Attributes:
        order: indices of the documents, most relevant first.
        relevance: scores in the order of the request.
        name: the cross-encoder's name.
        identity: the cross-encoder's NAME@VERSION.
        provider: the execution provider that it runs on.
    """

    order: Sequence[int]
    relevance: Relevance
    name: str
    identity: str
    provider: str


@dataclass(frozen=True, slots=True)
class RerankService:
    """Reranks documents with the registered cross-encoders."""

    rerankers: Rerankers
    models: ServedModels

    async def rerank(
        self, query: str, documents: Sequence[str], model: str | None, top_n: int | None, *, caller: Caller
    ) -> Reranking:
        """Order documents by relevance to a query; documents of equal relevance stay in order.

        Args:
            query: the search query.
            documents: at least one document.
            model: NAME (the newest version) or NAME@VERSION of a cross-encoder; None or `default` means the default
                one, which is the only one unless the settings name another.
            top_n: number of documents to return; None means all.
            caller: the caller, who needs the scope `rerank`.

        Raises:
            ForbiddenError: the caller lacks the scope.
            ModelNotFoundError: there is no such cross-encoder, or none is the default.
            OverloadedError: the model cannot answer in time.
            UnprocessableError: the query is too long, or the pairs have too many tokens in total.
        """
        caller.require(Scope.RERANK)
        # The lease keeps the model open even if the operator replaces it.
        with self.rerankers.lease(self.models, self._choose(model)) as reranker:
            relevance = await reranker.score(query, documents, owner=caller.id)
            order: list[int] = np.argsort(-relevance.scores, kind="stable")[:top_n].tolist()
            return Reranking(order, relevance, reranker.model.manifest.name, reranker.identity, reranker.provider)

    def _choose(self, model: str | None) -> str:
        if model is not None and model != DEFAULT:
            return model
        names = self.rerankers.names(self.models)
        if not names:
            raise ModelNotFoundError(
                'This service has no model to rerank with: register one with "task": "rerank" in its model.json.'
            )
        if len(names) > 1 and not self.rerankers.default:
            raise ModelNotFoundError(f"Choose a cross-encoder as `model`; this service has {', '.join(names)}.")
        return self.rerankers.default or names[0]
