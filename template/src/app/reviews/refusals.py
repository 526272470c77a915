"""Review of what guardrails refused."""

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
        """Put a refusal into the queue and give the item's identifier; None where too much of this owner's waits."""
        async with self.reviews.database.transaction() as session:
            # Those who come at the same moment do not see each other: a few more may wait, never many.
            waiting = await repository.count_waiting(session, owner_id, GUARDRAIL)
            if waiting >= self.reviews.settings.max_refusals:
                log.warning("review.not_kept", kind=GUARDRAIL, owner_id=str(owner_id), waiting=waiting)
                return None
            review = await self.reviews.record(session, NewReview(GUARDRAIL, reason, given, output), owner_id=owner_id)
        return review.id


def check_refusal(given: Any, result: Any, *, is_corrected: bool) -> None:  # noqa: ANN401, ARG001 - JSON, of any item
    """Pass if a reviewer may release this: a text; or nothing, to say that a request was in order.

    Raises:
        UnprocessableError: it may not be released.
    """
    if result is None and not is_corrected:
        return
    if not isinstance(result, str):
        raise UnprocessableError("Only a text can be released here.")
    try:
        result.encode()
    except UnicodeEncodeError:
        raise UnprocessableError("The text holds half of a surrogate pair.") from None
