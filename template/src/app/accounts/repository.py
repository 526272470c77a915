"""SQL for operators: accounts, including locked ones, and their data."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.models import Account, ApiKey
from app.documents.models import Document
from app.documents.service import INGEST, PURGE
from app.jobs.models import Job, JobState


async def find(session: AsyncSession, email: str) -> Account | None:
    """Find an account by its address, in lower case."""
    return await session.scalar(select(Account).where(Account.email == email))


async def set_active(session: AsyncSession, account_id: UUID, *, active: bool) -> None:
    """Unlock or lock an account."""
    await session.execute(update(Account).where(Account.id == account_id).values(is_active=active))


async def list_keys(session: AsyncSession, account_id: UUID) -> Sequence[ApiKey]:
    """List all keys of an account, oldest first."""
    statement = select(ApiKey).where(ApiKey.account_id == account_id)
    return (await session.scalars(statement.order_by(ApiKey.created_at, ApiKey.id))).all()


async def revoke_keys(session: AsyncSession, account_id: UUID, prefix: str) -> Sequence[str]:
    """Delete the keys of an account with this prefix, usually one, and return their names."""
    statement = delete(ApiKey).where(ApiKey.account_id == account_id, ApiKey.prefix == prefix)
    return (await session.scalars(statement.returning(ApiKey.name))).all()


async def measure_documents(session: AsyncSession, account_id: UUID) -> tuple[int, int]:
    """Return the number of an account's documents, and the total bytes of their files."""
    measured = select(func.count(), func.coalesce(func.sum(Document.size), 0)).where(Document.owner_id == account_id)
    documents, size = (await session.execute(measured)).one()
    return documents, int(size)


async def cancel_jobs(session: AsyncSession, account_id: UUID) -> None:
    """Cancel all unfinished jobs of an account."""
    unended = Job.state.in_([JobState.QUEUED, JobState.RUNNING])
    statement = update(Job).where(Job.owner_id == account_id, unended)
    await session.execute(statement.values(state=JobState.CANCELLED, enqueued_at=None))


async def count_held_jobs(session: AsyncSession, account_id: UUID) -> int:
    """Count the jobs of an account that workers hold."""
    statement = select(func.count()).select_from(Job).where(Job.owner_id == account_id, Job.finished_at.is_(None))
    return await session.scalar(statement.where(Job.lease_until > func.now())) or 0


async def list_documents(session: AsyncSession, account_id: UUID) -> dict[UUID, UUID | None]:
    """Return an account's documents, each with its latest ingestion job."""
    rows = await session.execute(select(Document.id, Document.job_id).where(Document.owner_id == account_id))
    return {row.id: row.job_id for row in rows}


async def list_unsettled(session: AsyncSession, account_id: UUID) -> set[UUID]:
    """Return the documents, including deleted ones, for which a job may have left a file or vectors."""
    named = select(Job.payload["document_id"].astext).where(Job.owner_id == account_id)
    unsettled = named.where(Job.kind.in_([INGEST, PURGE]), Job.state != JobState.SUCCEEDED)
    return {UUID(each) for each in await session.scalars(unsettled)}


async def lock(session: AsyncSession, account_id: UUID) -> None:
    """Lock an account's row: no rows can be added to the account until the transaction ends."""
    # Inserting a row with a foreign key to the account waits for this lock.
    await session.execute(select(Account.id).where(Account.id == account_id).with_for_update())


async def remove(session: AsyncSession, account_id: UUID) -> None:
    """Delete an account and, by their foreign keys, all rows that belong to it."""
    await session.execute(delete(Account).where(Account.id == account_id))
