"""The port of features that rerank."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Relevance:
    """The relevance of documents to a query.

    Attributes:
        scores: one for each document, in their order; the higher, the more relevant.
        tokens: tokens that were read, after cutting; those of the query count with each document.
        queue_seconds: until the first of the documents ran.
        run_seconds: from then until the last had run.
    """

    scores: NDArray[np.float64]
    tokens: int
    queue_seconds: float
    run_seconds: float


class CrossEncoder(Protocol):
    """Scores how well documents fit a query."""

    @property
    def identity(self) -> str:
        """Name and version."""

    async def score(
        self, query: str, documents: Sequence[str], *, owner: Hashable, within: float | None = None
    ) -> Relevance:
        """Score how relevant documents are to a query.

        Args:
            query: what is looked for.
            documents: one at least.
            owner: who takes turns with other owners.
            within: seconds in which the answer is wanted; None is what every request has.

        Raises:
            UnprocessableError: the query is too long, or there is too much to read.
            UpstreamError: the answer cannot be had in time, or the model failed.
        """
