"""What answering needs from retrieval."""

from typing import Protocol

from app.answers.retrieval import Filters, Passage
from app.auth.caller import Caller


class PassageSearch(Protocol):
    """Finds passages in the caller's documents."""

    async def find(self, query: str, *, caller: Caller, top_k: int, filters: Filters | None) -> list[Passage]:
        """Find at most `top_k` passages, best first.

        Raises:
            AppError: the search could not be made.
        """
