"""Telling an owner's systems what has happened, once it is certain that it has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

EventType = Literal["job.failed", "job.succeeded", "review.decided"]


@dataclass(frozen=True, slots=True)
class Event:
    """What has happened to what: the id, and the kind, of a job or a review."""

    type: EventType
    id: UUID
    kind: str


class EventPublisher(Protocol):
    """Tells owners of events, at least once."""

    async def record(self, session: AsyncSession, event: Event, *, owner_id: UUID) -> Sequence[UUID]:
        """Note whom to tell, in the transaction in which it happens; `start` what is returned after the commit."""

    async def start(self, recorded: Sequence[UUID]) -> None:
        """Begin to tell; what never comes to this is told all the same, a little later."""
