"""Keyword search for passages: finds names, numbers and codes that embeddings miss."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from opentelemetry.metrics import get_meter

from app.answers.settings import SearchSettings
from app.database import Database
from app.documents import repository
from app.observability.spans import span

log = structlog.get_logger(__name__)

_failures = get_meter("app.answers").create_counter(
    "app_search_words_failures", description="searches that went on without the search by words"
)

# Dampens the weight of the first ranks; from Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms
# Condorcet and individual rank learning methods", SIGIR 2009.
RANK_OFFSET = 60


@dataclass(frozen=True, slots=True)
class WordSearch:
    """Finds passages by keywords; optional, searches work without its results.

    Attributes:
        limit: the most passages to find.
    """

    database: Database
    settings: SearchSettings
    limit: int = 50

    async def find(self, query: str, owner_id: UUID, document_ids: Sequence[UUID] | None) -> Mapping[UUID, int]:
        """Rank the owner's passages that share rare words with a query, from 1; return none on a timeout."""
        seconds = self.settings.words_timeout
        try:
            async with asyncio.timeout(seconds), self.database.transaction() as session:
                with span("search words", {}):
                    return await repository.find_by_words(
                        session, owner_id, query.replace("\0", " "), document_ids=document_ids, limit=self.limit
                    )
        except TimeoutError:
            log.warning("search.words_skipped", seconds=seconds)
            _failures.add(1)
            return {}


def fuse(*rankings: Mapping[UUID, int]) -> list[UUID]:
    """Merge rankings, which count from 1, by reciprocal rank fusion; ties keep the order of first appearance."""
    scores: dict[UUID, float] = {}
    for ranking in rankings:
        for each, rank in ranking.items():
            scores[each] = scores.get(each, 0.0) + 1 / (RANK_OFFSET + rank)
    return sorted(scores, key=lambda each: -scores[each])
