"""HTTP routes for the review queue."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from app.dependencies import CallerDep, PageDep, ServicesDep
from app.pages import Page
from app.reviews.models import Review, ReviewState
from app.reviews.schemas import ReviewCorrection, ReviewDecision, ReviewRead, ReviewRejection, ReviewSummary

router = APIRouter(prefix="/v1/reviews", tags=["reviews"])


@router.get("")
async def list_reviews(
    page: PageDep,
    caller: CallerDep,
    services: ServicesDep,
    state: Annotated[ReviewState | None, Query(description="`open` includes items with an expired claim")] = None,
) -> Page[ReviewSummary]:
    """List reviews, newest first: your own, or all if you are a reviewer."""
    reviews, next_cursor = await services.reviews.list_for(state, page, caller=caller)
    return Page(items=[ReviewSummary.model_validate(review) for review in reviews], next_cursor=next_cursor)


@router.get("/{review_id}", response_model=ReviewRead)
async def read_review(review_id: UUID, caller: CallerDep, services: ServicesDep) -> Review:
    """Return one review, including the released result."""
    return await services.reviews.get(review_id, caller=caller)


@router.post("/{review_id}/claim", response_model=ReviewRead)
async def claim_review(review_id: UUID, caller: CallerDep, services: ServicesDep) -> Review:
    """Claim a review for a limited time; claim it again to extend the time."""
    return await services.reviews.claim(review_id, caller=caller)


@router.post("/{review_id}/approve", response_model=ReviewRead)
async def approve_review(review_id: UUID, body: ReviewDecision, caller: CallerDep, services: ServicesDep) -> Review:
    """Release the output unmodified."""
    return await services.reviews.approve(review_id, body.version, caller=caller)


@router.post("/{review_id}/correct", response_model=ReviewRead)
async def correct_review(review_id: UUID, body: ReviewCorrection, caller: CallerDep, services: ServicesDep) -> Review:
    """Release your correction of the output."""
    return await services.reviews.correct(review_id, body.version, body.result, caller=caller)


@router.post("/{review_id}/reject", response_model=ReviewRead)
async def reject_review(review_id: UUID, body: ReviewRejection, caller: CallerDep, services: ServicesDep) -> Review:
    """Reject the output; nothing is released."""
    return await services.reviews.reject(review_id, body.version, body.note, caller=caller)
