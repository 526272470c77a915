"""SQL queries for reviews. With an owner of None, as for reviewers, they cover the items of all owners."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import defer

from app.pages import PageRequest, read_page
from app.reviews.models import Review, ReviewState


async def add(session: AsyncSession, review: Review) -> None:
    """Store a new item."""
    session.add(review)
    await session.flush()
    await session.refresh(review)


async def find(session: AsyncSession, owner_id: UUID | None, review_id: UUID) -> Review | None:
    """Return an item, or None."""
    return await session.scalar(_visible(owner_id).where(Review.id == review_id))


async def list_for(
    session: AsyncSession, owner_id: UUID | None, state: ReviewState | None, page: PageRequest
) -> tuple[list[Review], str | None]:
    """List items without their contents, newest first; items with an expired claim count as open."""
    statement = _visible(owner_id).options(defer(Review.given), defer(Review.output), defer(Review.result))
    if state is ReviewState.OPEN:
        statement = statement.where(_unclaimed())
    elif state is not None:
        statement = statement.where(Review.state == state)
    return await read_page(session, statement, Review, page)


async def count_waiting(session: AsyncSession, owner_id: UUID, kind: str) -> int:
    """Return the number of undecided items of an owner and kind."""
    waiting = Review.state.in_((ReviewState.OPEN, ReviewState.CLAIMED))
    mine = select(func.count()).select_from(Review).where(Review.owner_id == owner_id, Review.kind == kind, waiting)
    return await session.scalar(mine) or 0


async def claim(session: AsyncSession, review_id: UUID, reviewer_id: UUID, seconds: float) -> Review | None:
    """Claim an item, atomically; return None if it is decided or another reviewer's claim is valid."""
    free = or_(_unclaimed(), and_(Review.state == ReviewState.CLAIMED, Review.claimed_by == reviewer_id))
    statement = update(Review).where(Review.id == review_id, free)
    claimed = statement.values(
        state=ReviewState.CLAIMED,
        version=Review.version + 1,
        claimed_by=reviewer_id,
        claimed_until=func.now() + timedelta(seconds=seconds),
    )
    return await session.scalar(claimed.returning(Review))


async def decide(
    session: AsyncSession,
    review_id: UUID,
    reviewer_id: UUID,
    version: int,
    **values: Any,  # noqa: ANN401 - column values
) -> Review | None:
    """Store a decision on an item that this reviewer has claimed in this version; return None otherwise."""
    statement = update(Review).where(
        Review.id == review_id,
        Review.state == ReviewState.CLAIMED,
        Review.claimed_by == reviewer_id,
        Review.version == version,
    )
    decided = statement.values(version=version + 1, claimed_until=None, decided_at=func.now(), **values)
    return await session.scalar(decided.returning(Review))


def _visible(owner_id: UUID | None) -> Select[Review]:
    return select(Review) if owner_id is None else select(Review).where(Review.owner_id == owner_id)


def _unclaimed() -> ColumnElement[bool]:
    expired = and_(Review.state == ReviewState.CLAIMED, Review.claimed_until < func.now())
    return or_(Review.state == ReviewState.OPEN, expired)
