"""Reviews of guardrail refusals."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog

from app.errors import UnprocessableError
from app.reviews import repository
from app.reviews.service import NewReview, ReviewService

log = structlog.get_logger(__name__)

GUARDRAIL = "guardrail"


@dataclass(frozen=True, slots=True)
class RefusalDesk:
    """Submits refusals to the review queue, within the limit for each owner."""

    reviews: ReviewService

    async def submit(self, reason: str, given: Any, output: str | None, *, owner_id: UUID) -> UUID | None:  # noqa: ANN401 - JSON
        """Submit a refusal and return the ID of its review; None if too many of this owner are waiting."""
        async with self.reviews.database.transaction() as session:
            # Concurrent transactions do not see each other, so the limit can be exceeded by a few.
            waiting = await repository.count_waiting(session, owner_id, GUARDRAIL)
            if waiting >= self.reviews.settings.max_refusals:
                log.warning("review.not_kept", kind=GUARDRAIL, owner_id=str(owner_id), waiting=waiting)
                return None
            review = await self.reviews.record(session, NewReview(GUARDRAIL, reason, given, output), owner_id=owner_id)
        return review.id


def check_refusal(given: Any, result: Any, *, is_corrected: bool) -> None:  # noqa: ANN401, ARG001 - JSON, of any item
    """Check that a result is a text; None passes only if a reviewer approves a request without output.

    Raises:
        UnprocessableError: the result may not be released.
    """
    if result is None and not is_corrected:
        return
    if not isinstance(result, str):
        raise UnprocessableError("Only a text can be released here.")
    try:
        result.encode()
    except UnicodeEncodeError:
        raise UnprocessableError("The text holds half of a surrogate pair.") from None
