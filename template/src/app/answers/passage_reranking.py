"""A second look at what a search found: a cross-encoder reads question and passage together."""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import numpy as np
import structlog
from numpy.typing import NDArray
from opentelemetry.metrics import get_meter
from pydantic import BaseModel, ConfigDict, Field

from app.errors import AppError, UpstreamTimeoutError
from app.inference.served_models import ServedModels
from app.reranking.ports import CrossEncoder
from app.reranking.registered import Rerankers

log = structlog.get_logger(__name__)

_failures = get_meter("app.answers").create_counter(
    "app_search_rerank_failures", description="searches that went on without the cross-encoder's judgement"
)


class SearchSettings(BaseModel):
    """How passages are chosen, for searches and for answers."""

    model_config = ConfigDict(extra="forbid")

    words: bool = Field(default=True, description="search by words, too, not by meaning alone")
    words_timeout: float = Field(default=0.3, gt=0, description="seconds that a search waits for the search by words")
    reranker: str = Field(default="", description="the registered cross-encoder that judges passages; empty is none")
    candidates_per_passage: int = Field(default=4, ge=1, le=50, description="judged for each passage that is wanted")
    max_candidates: int = Field(default=100, ge=1, le=500, description="judged at most, unless more are wanted")
    rerank_timeout: float = Field(default=5.0, gt=0, description="seconds that a search waits for the cross-encoder")


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a cross-encoder made of some texts.

    Attributes:
        scores: one for each text, the higher, the more relevant.
        model: its identity.
    """

    scores: NDArray[np.float64]
    model: str


@dataclass(frozen=True, slots=True)
class PassageReranker:
    """Asks a cross-encoder, whose judgement makes a search better but is not needed for one.

    Attributes:
        lease: finds the one that is served now, which stays open for as long as it is held.
    """

    lease: Callable[[], AbstractContextManager[CrossEncoder]]
    settings: SearchSettings

    def candidates(self, wanted: int) -> int:
        """Return how many passages to judge so that the best are among them."""
        return max(wanted, min(wanted * self.settings.candidates_per_passage, self.settings.max_candidates))

    async def judge(self, question: str, texts: Sequence[str], *, owner: Hashable) -> Judgement | None:
        """Score how relevant texts are to a question; None if that cannot be had in time."""
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
            _note(asked, UpstreamTimeoutError("The cross-encoder took too long."))
        except AppError as error:
            _note(asked, error)
        return None


def find_reranker(rerankers: Rerankers, served: ServedModels, settings: SearchSettings) -> PassageReranker | None:
    """Return the configured reranker; None if none is configured, or if this process serves no callers."""
    if rerankers.find(served, settings.reranker):
        return PassageReranker(partial(rerankers.lease, served, settings.reranker), settings)
    return None


def _note(model: str, error: AppError) -> None:
    log.warning("search.not_reranked", model=model, code=error.code, detail=error.detail)
    _failures.add(1, {"model": model, "code": error.code})
