"""The use cases of webhooks: endpoints, and deliveries of events to them."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.caller import Caller, Scope
from app.database import Database
from app.errors import ConflictError, NotFoundError
from app.event_publisher import Event, EventType
from app.jobs.service import JobService
from app.pages import PageRequest
from app.webhooks import repository
from app.webhooks.addresses import check_url
from app.webhooks.models import WebhookEndpoint
from app.webhooks.settings import WebhooksSettings
from app.webhooks.signing import make_secret

DELIVER = "webhook.deliver"


@dataclass(frozen=True, slots=True)
class WebhookService:
    """Manages endpoints, and creates a delivery job for each endpoint of an event."""

    database: Database
    jobs: JobService
    settings: WebhooksSettings

    async def create(self, url: str, events: Collection[EventType], *, caller: Caller) -> WebhookEndpoint:
        """Register an endpoint with a new secret.

        Raises:
            ForbiddenError: the caller lacks the scope.
            UnprocessableError: the URL is not allowed.
            ConflictError: the caller has `most_endpoints` already.
        """
        caller.require(Scope.WEBHOOKS)
        check_url(url, allow_loopback=self.settings.allow_loopback)
        endpoint = WebhookEndpoint(owner_id=caller.id, url=url, secret=make_secret(), events=sorted(events))
        async with self.database.transaction() as session:
            added = await repository.add(session, endpoint, most=self.settings.most_endpoints)
        if not added:
            raise ConflictError(f"You may have {self.settings.most_endpoints} webhooks: delete one first.")
        return endpoint

    async def list_for(self, page: PageRequest, *, caller: Caller) -> tuple[list[WebhookEndpoint], str | None]:
        """List the caller's endpoints, newest first."""
        caller.require(Scope.WEBHOOKS)
        async with self.database.transaction() as session:
            return await repository.list_for(session, caller.id, page)

    async def delete(self, endpoint_id: UUID, *, caller: Caller) -> None:
        """Delete an endpoint; its pending deliveries are not sent.

        Raises:
            NotFoundError: the caller has no such endpoint.
        """
        caller.require(Scope.WEBHOOKS)
        async with self.database.transaction() as session:
            removed = await repository.remove(session, caller.id, endpoint_id)
        if not removed:
            raise NotFoundError("There is no such webhook.")

    async def record(self, session: AsyncSession, event: Event, *, owner_id: UUID) -> Sequence[UUID]:
        """Create the delivery jobs of an event in the caller's transaction; return the ids of those to `start` now."""
        if event.kind == DELIVER:
            return []  # no events about deliveries
        listening = await repository.list_listening(session, owner_id, event.type)
        message = _message(event)
        recorded = []
        for endpoint_id, rests_until in listening:
            payload = {"endpoint_id": str(endpoint_id), "event": message}
            job = await self.jobs.record(
                session, owner_id=owner_id, kind=DELIVER, payload=payload, run_after=rests_until
            )
            if rests_until is None:
                recorded.append(job.id)
        return recorded

    async def start(self, recorded: Sequence[UUID]) -> None:
        """Enqueue the delivery jobs."""
        for job_id in recorded:
            await self.jobs.enqueue(job_id)


def _message(event: Event) -> dict[str, Any]:
    """Return the message for an event: what has happened, without content, which requires an API key."""
    data = asdict(event) | {"id": str(event.id)}
    return {"type": data.pop("type"), "timestamp": datetime.now(UTC).isoformat(), "data": data}
