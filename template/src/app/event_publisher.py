"""The port through which features publish events to their owners' webhooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

EventType = Literal["job.failed", "job.succeeded", "review.decided"]


@dataclass(frozen=True, slots=True)
class Event:
    """An event: its type, and the id and kind of the job or review that it is about."""

    type: EventType
    id: UUID
    kind: str


class EventPublisher(Protocol):
    """Publishes events to their owners, at least once."""

    async def record(self, session: AsyncSession, event: Event, *, owner_id: UUID) -> Sequence[UUID]:
        """Record deliveries in the transaction that causes the event; pass the result to `start` after it."""

    async def start(self, recorded: Sequence[UUID]) -> None:
        """Start the deliveries now; those that are never started are picked up by the next sweep."""
