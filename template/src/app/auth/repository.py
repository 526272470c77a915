"""SQL for accounts and API keys."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.models import Account, ApiKey
from app.pages import PageRequest, read_page


async def add_account(session: AsyncSession, *, email: str, password_hash: str | None) -> Account | None:
    """Create an account; None if the address is taken."""
    statement = insert(Account).values(email=email, password_hash=password_hash)
    account: Account | None = await session.scalar(statement.on_conflict_do_nothing().returning(Account))
    return account


async def find_account(session: AsyncSession, account_id: UUID) -> Account | None:
    """Find an active account."""
    return await session.scalar(select(Account).where(Account.id == account_id, Account.is_active))


async def find_account_by_email(session: AsyncSession, email: str) -> Account | None:
    """Find an active account by its address, in lower case."""
    return await session.scalar(select(Account).where(Account.email == email, Account.is_active))


async def find_key(session: AsyncSession, digest: str) -> ApiKey | None:
    """Find a key that has not expired and whose account is active."""
    fresh = or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > func.now())
    statement = select(ApiKey).join(Account, Account.id == ApiKey.account_id)
    return await session.scalar(statement.where(ApiKey.digest == digest, fresh, Account.is_active))


async def add_key(  # noqa: PLR0913 - one argument per column
    session: AsyncSession,
    *,
    account_id: UUID,
    name: str,
    prefix: str,
    digest: str,
    scopes: Sequence[str],
    expires_at: datetime | None,
) -> ApiKey:
    """Insert a key with the digest of its secret."""
    key = ApiKey(
        account_id=account_id, name=name, prefix=prefix, digest=digest, scopes=list(scopes), expires_at=expires_at
    )
    session.add(key)
    await session.flush()
    return key


async def list_keys(session: AsyncSession, account_id: UUID, page: PageRequest) -> tuple[list[ApiKey], str | None]:
    """List an account's keys, newest first."""
    return await read_page(session, select(ApiKey).where(ApiKey.account_id == account_id), ApiKey, page)


async def delete_key(session: AsyncSession, account_id: UUID, key_id: UUID) -> str | None:
    """Delete a key and return its digest; None if there was none."""
    statement = delete(ApiKey).where(ApiKey.account_id == account_id, ApiKey.id == key_id).returning(ApiKey.digest)
    return await session.scalar(statement)
