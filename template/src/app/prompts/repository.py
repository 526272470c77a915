"""SQL queries for prompts. They have no owner, since prompts belong to the service."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.pages import PageRequest, read_page
from app.prompts.models import Prompt, PromptState


async def lock(session: AsyncSession, name: str) -> None:
    """Lock a prompt until the end of the transaction, so that no other one adds or activates versions."""
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))


async def add(session: AsyncSession, prompt: dict[str, Any]) -> Prompt | None:
    """Store the next version of a locked prompt; return None if its idempotency key was used before."""
    newest = await session.scalar(select(func.max(Prompt.version)).where(Prompt.name == prompt["name"]))
    statement = insert(Prompt).values(prompt | {"version": (newest or 0) + 1})
    added: Prompt | None = await session.scalar(statement.on_conflict_do_nothing().returning(Prompt))
    return added


async def find(session: AsyncSession, name: str, version: int) -> Prompt | None:
    """Return a version of a prompt, or None."""
    return await session.scalar(select(Prompt).where(Prompt.name == name, Prompt.version == version))


async def find_active(session: AsyncSession, name: str) -> Prompt | None:
    """Return the active version of a prompt, or None."""
    return await session.scalar(select(Prompt).where(Prompt.name == name, Prompt.state == PromptState.ACTIVE))


async def find_by_idempotency_key(session: AsyncSession, author_id: UUID, key: str) -> Prompt | None:
    """Return the version that an earlier request with this key created, or None."""
    return await session.scalar(select(Prompt).where(Prompt.author_id == author_id, Prompt.idempotency_key == key))


async def list_all(session: AsyncSession, name: str | None, page: PageRequest) -> tuple[list[Prompt], str | None]:
    """List versions, of one prompt or of all, newest first."""
    statement = select(Prompt) if name is None else select(Prompt).where(Prompt.name == name)
    return await read_page(session, statement, Prompt, page)


async def retire_active(session: AsyncSession, name: str) -> None:
    """Retire the active version of a prompt, if there is one."""
    statement = update(Prompt).where(Prompt.name == name, Prompt.state == PromptState.ACTIVE)
    await session.execute(statement.values(state=PromptState.RETIRED))


async def change_state(session: AsyncSession, name: str, version: int, state: PromptState) -> Prompt | None:
    """Change the state of a version; None if there is no such version."""
    statement = update(Prompt).where(Prompt.name == name, Prompt.version == version).values(state=state)
    changed: Prompt | None = await session.scalar(statement.returning(Prompt))
    return changed
