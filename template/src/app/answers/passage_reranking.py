"""Reranking of search results with a cross-encoder, which reads question and passage together."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import numpy as np
import structlog
from numpy.typing import NDArray
from opentelemetry.metrics import get_meter

from app.answers.settings import SearchSettings
from app.errors import AppError, UpstreamTimeoutError
from app.inference.served_models import ServedModels
from app.reranking.ports import CrossEncoder
from app.reranking.registered import Rerankers

log = structlog.get_logger(__name__)

_failures = get_meter("app.answers").create_counter(
    "app_search_rerank_failures", description="searches that went on without the cross-encoder's scores"
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """A cross-encoder's scores.

    Attributes:
        scores: one per text; higher is more relevant.
        model: identity of the cross-encoder.
    """

    scores: NDArray[np.float64]
    model: str


@dataclass(frozen=True, slots=True)
class PassageReranker:
    """Scores passages with a cross-encoder; optional, searches work without its scores.

    Attributes:
        lease: returns the cross-encoder that is served now, which stays open while the lease is held.
    """

    lease: Callable[[], AbstractContextManager[CrossEncoder]]
    settings: SearchSettings

    def candidates(self, wanted: int) -> int:
        """Return how many passages to score in order to return `wanted`."""
        return max(wanted, min(wanted * self.settings.candidates_per_passage, self.settings.max_candidates))

    async def judge(self, question: str, texts: Sequence[str], *, owner: Hashable) -> Judgement | None:
        """Score how relevant texts are to a question; None without texts, on a timeout or an error, which is logged."""
        if not texts:
            return None
        asked, seconds = self.settings.reranker, self.settings.rerank_timeout
        try:
            with self.lease() as model:
                asked = model.identity
                async with asyncio.timeout(seconds):
                    relevance = await model.score(question, texts, owner=owner, within=seconds)
                    return Judgement(relevance.scores, asked)
        except TimeoutError:
            _record_failure(asked, UpstreamTimeoutError("The cross-encoder took too long."))
        except AppError as error:
            _record_failure(asked, error)
        return None


def find_reranker(rerankers: Rerankers, served: ServedModels, settings: SearchSettings) -> PassageReranker | None:
    """Return the configured reranker; None if none is configured, or if this process serves no requests."""
    if rerankers.find(served, settings.reranker):
        return PassageReranker(partial(rerankers.lease, served, settings.reranker), settings)
    return None


def _record_failure(model: str, error: AppError) -> None:
    log.warning("search.not_reranked", model=model, code=error.code, detail=error.detail)
    _failures.add(1, {"model": model, "code": error.code})
