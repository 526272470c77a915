"""Port of reranking: cross-encoders that score documents."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Relevance:
    """The relevance of documents to a query.

    Attributes:
        scores: one per document, in order; higher is more relevant.
        tokens: number of tokens read, after truncation; the query counts once per document.
        queue_seconds: time until the first document started to run.
        run_seconds: time from then until the last document had run.
    """

    scores: NDArray[np.float64]
    tokens: int
    queue_seconds: float
    run_seconds: float


class CrossEncoder(Protocol):
    """A model that scores the relevance of documents to a query."""

    @property
    def identity(self) -> str:
        """NAME@VERSION of the model."""

    async def score(
        self, query: str, documents: Sequence[str], *, owner: Hashable, within: float | None = None
    ) -> Relevance:
        """Score the relevance of documents to a query.

        Args:
            query: the search query.
            documents: at least one document.
            owner: key for fair scheduling: owners take turns.
            within: deadline in seconds; None means the model's default deadline.

        Raises:
            UnprocessableError: the query is too long, or the pairs have too many tokens in total.
            UpstreamError: the deadline cannot be met, or the model failed.
        """
