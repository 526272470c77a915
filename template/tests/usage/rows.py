"""What is written down about usage, as it stands in the database."""

from sqlalchemy import select

from app.database import Database
from app.usage.models import UsageRecord


async def read_rows(database: Database) -> list[UsageRecord]:
    """Read every use, the oldest first."""
    async with database.transaction() as session:
        return list(await session.scalars(select(UsageRecord).order_by(UsageRecord.created_at)))
