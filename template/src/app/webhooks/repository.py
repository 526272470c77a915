"""SQL for webhook endpoints."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.models import Account
from app.pages import PageRequest, read_page
from app.webhooks.models import WebhookEndpoint, WebhookRest


async def add(session: AsyncSession, endpoint: WebhookEndpoint, *, most: int) -> bool:
    """Insert an endpoint unless its owner has `most` already; return whether it was inserted.

    It inherits the remaining pause of the owner's deleted endpoints.
    """
    # The lock on the account lets concurrent calls count each other's endpoints.
    await session.execute(select(Account.id).where(Account.id == endpoint.owner_id).with_for_update(key_share=True))
    mine = select(func.count()).select_from(WebhookEndpoint).where(WebhookEndpoint.owner_id == endpoint.owner_id)
    if (await session.scalar(mine) or 0) >= most:
        return False
    kept = select(WebhookRest.rests_until).where(WebhookRest.owner_id == endpoint.owner_id)
    endpoint.rests_until = await session.scalar(kept.where(WebhookRest.rests_until > func.now()))
    session.add(endpoint)
    await session.flush()
    await session.refresh(endpoint)
    return True


async def find(session: AsyncSession, owner_id: UUID, endpoint_id: UUID) -> WebhookEndpoint | None:
    """Find an endpoint of this owner."""
    mine = WebhookEndpoint.owner_id == owner_id
    return await session.scalar(select(WebhookEndpoint).where(mine, WebhookEndpoint.id == endpoint_id))


async def list_for(
    session: AsyncSession, owner_id: UUID, page: PageRequest
) -> tuple[list[WebhookEndpoint], str | None]:
    """List an owner's endpoints, newest first."""
    statement = select(WebhookEndpoint).where(WebhookEndpoint.owner_id == owner_id)
    return await read_page(session, statement, WebhookEndpoint, page)


async def list_listening(session: AsyncSession, owner_id: UUID, event: str) -> list[tuple[UUID, datetime | None]]:
    """Return the ids of an owner's endpoints for an event, each with the end of its pause, if it has one."""
    rests_until = case((WebhookEndpoint.rests_until > func.now(), WebhookEndpoint.rests_until))
    statement = select(WebhookEndpoint.id, rests_until).where(
        WebhookEndpoint.owner_id == owner_id,
        WebhookEndpoint.disabled_at.is_(None),
        WebhookEndpoint.events.contains([event]),
    )
    return [(endpoint_id, until) for endpoint_id, until in await session.execute(statement)]


async def disable(session: AsyncSession, owner_id: UUID, endpoint_id: UUID) -> None:
    """Disable an endpoint."""
    mine = (WebhookEndpoint.owner_id == owner_id, WebhookEndpoint.id == endpoint_id)
    await session.execute(update(WebhookEndpoint).where(*mine).values(disabled_at=func.now()))


async def rest(session: AsyncSession, owner_id: UUID, endpoint_id: UUID, seconds: float) -> None:
    """Pause an endpoint for at least so many seconds; if it was deleted, its owner's next ones inherit the pause."""
    mine = (WebhookEndpoint.owner_id == owner_id, WebhookEndpoint.id == endpoint_id)
    end = func.now() + timedelta(seconds=seconds)
    longer = update(WebhookEndpoint).where(*mine).values(rests_until=func.greatest(WebhookEndpoint.rests_until, end))
    if await session.scalar(longer.returning(WebhookEndpoint.id)) is None:
        await _keep_rest(session, owner_id, end)


async def remove(session: AsyncSession, owner_id: UUID, endpoint_id: UUID) -> bool:
    """Delete an endpoint, but keep its pause; return whether the endpoint existed."""
    mine = (WebhookEndpoint.owner_id == owner_id, WebhookEndpoint.id == endpoint_id)
    gone = delete(WebhookEndpoint).where(*mine).returning(WebhookEndpoint.rests_until)
    removed = (await session.execute(gone)).one_or_none()
    if removed is not None and removed.rests_until is not None:
        await _keep_rest(session, owner_id, removed.rests_until)
    return removed is not None


async def _keep_rest(session: AsyncSession, owner_id: UUID, until: datetime | ColumnElement[datetime]) -> None:
    statement = insert(WebhookRest).values(owner_id=owner_id, rests_until=until)
    longest = func.greatest(WebhookRest.rests_until, statement.excluded.rests_until)
    await session.execute(
        statement.on_conflict_do_update(index_elements=[WebhookRest.owner_id], set_={"rests_until": longest})
    )
