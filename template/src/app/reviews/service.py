"""The review service: reviewers claim and decide items, owners read the released results."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.caller import Caller, Scope
from app.database import Database
from app.errors import ConflictError, NotFoundError
from app.event_publisher import Event, EventPublisher
from app.pages import PageRequest
from app.reviews import repository
from app.reviews.models import Review, ReviewState
from app.reviews.ports import ReleaseCheck
from app.reviews.settings import ReviewsSettings

log = structlog.get_logger(__name__)

NOT_YOURS = "Claim the item first: it is not yours, or somebody has changed it since you read it."


@dataclass(frozen=True, slots=True)
class NewReview:
    """A new review: what the feature was `given`, its `output`, and the reason for the review."""

    kind: str
    reason: str
    given: Any
    output: Any
    id: UUID = field(default_factory=uuid4)


@dataclass(frozen=True, slots=True)
class ReviewService:
    """Stores reviews and releases outputs on a reviewer's decision.

    Attributes:
        checks: checks of released results, by kind of item.
        publisher: publishes decisions.
    """

    database: Database
    checks: Mapping[str, ReleaseCheck]
    settings: ReviewsSettings
    publisher: EventPublisher | None = None

    async def record(self, session: AsyncSession, new: NewReview, *, owner_id: UUID) -> Review:
        """Add an item to the queue within the caller's transaction."""
        review = Review(
            id=new.id, owner_id=owner_id, kind=new.kind, reason=new.reason, given=new.given, output=new.output
        )
        await repository.add(session, review)
        log.info("review.opened", review_id=str(review.id), kind=review.kind, owner_id=str(owner_id))
        return review

    async def get(self, review_id: UUID, *, caller: Caller) -> Review:
        """Return an item: reviewers may read all, other callers only their own.

        Raises:
            NotFoundError: there is no such item that the caller may read.
        """
        owner_id = _scope_of(caller)
        async with self.database.transaction() as session:
            return _found(await repository.find(session, owner_id, review_id))

    async def list_for(
        self, state: ReviewState | None, page: PageRequest, *, caller: Caller
    ) -> tuple[list[Review], str | None]:
        """List items without their contents, newest first: all for reviewers, their own for other callers."""
        owner_id = _scope_of(caller)
        async with self.database.transaction() as session:
            return await repository.list_for(session, owner_id, state, page)

    async def claim(self, review_id: UUID, *, caller: Caller) -> Review:
        """Claim an item, or extend the claim.

        Raises:
            NotFoundError: there is no such item.
            ConflictError: another reviewer has claimed it, or it is decided.
        """
        caller.require(Scope.REVIEWS_DECIDE)
        async with self.database.transaction() as session:
            claimed = await repository.claim(session, review_id, caller.id, self.settings.lease)
            review = claimed or _found(await repository.find(session, None, review_id))
        if claimed is None:
            taken = review.state == ReviewState.CLAIMED
            raise ConflictError("Another reviewer has this item." if taken else f"This item is {review.state} already.")
        return claimed

    async def approve(self, review_id: UUID, version: int, *, caller: Caller) -> Review:
        """Release the output unmodified.

        Raises:
            NotFoundError: there is no such item.
            ConflictError: the caller has not claimed it, or it has changed since.
            UnprocessableError: the output may not be released.
        """
        review = await self._claimed(review_id, version, caller)
        await self._check(review, review.output, is_corrected=False)
        return await self._decide(review, caller, state=ReviewState.APPROVED, result=review.output)

    async def correct(self, review_id: UUID, version: int, result: Any, *, caller: Caller) -> Review:  # noqa: ANN401 - JSON
        """Release a corrected output.

        Raises:
            NotFoundError: there is no such item.
            ConflictError: the caller has not claimed it, or it has changed since.
            UnprocessableError: the correction is invalid for this kind of item.
        """
        review = await self._claimed(review_id, version, caller)
        await self._check(review, result, is_corrected=True)
        return await self._decide(review, caller, state=ReviewState.CORRECTED, result=result)

    async def reject(self, review_id: UUID, version: int, note: str | None, *, caller: Caller) -> Review:
        """Reject the output; nothing is released.

        Raises:
            NotFoundError: there is no such item.
            ConflictError: the caller has not claimed it, or it has changed since.
        """
        review = await self._claimed(review_id, version, caller)
        return await self._decide(review, caller, state=ReviewState.REJECTED, note=note)

    async def _claimed(self, review_id: UUID, version: int, caller: Caller) -> Review:
        caller.require(Scope.REVIEWS_DECIDE)
        review = await self.get(review_id, caller=caller)
        if (review.state, review.claimed_by, review.version) != (ReviewState.CLAIMED, caller.id, version):
            raise ConflictError(NOT_YOURS)
        return review

    async def _check(self, review: Review, result: Any, *, is_corrected: bool) -> None:  # noqa: ANN401 - JSON
        await asyncio.to_thread(self.checks[review.kind], review.given, result, is_corrected=is_corrected)

    async def _decide(self, review: Review, caller: Caller, **values: Any) -> Review:  # noqa: ANN401 - column values
        announced: Sequence[UUID] = ()
        async with self.database.transaction() as session:
            decided = await repository.decide(session, review.id, caller.id, review.version, **values)
            if decided and self.publisher:
                event = Event("review.decided", review.id, review.kind)
                announced = await self.publisher.record(session, event, owner_id=review.owner_id)
        if decided is None:
            raise ConflictError(NOT_YOURS)
        if self.publisher:
            await self.publisher.start(announced)
        log.info("review.decided", review_id=str(review.id), kind=review.kind, state=decided.state)
        return decided


def _scope_of(caller: Caller) -> UUID | None:
    """Return the owner whose items a caller may read; None means all owners."""
    if Scope.REVIEWS_DECIDE in caller.scopes:
        return None
    caller.require(Scope.REVIEWS)
    return caller.id


def _found(review: Review | None) -> Review:
    if review is None:
        raise NotFoundError("There is no such review.")
    return review
