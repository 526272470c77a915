"""Predictions in the database, as the tests make and read them."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from app.database import Database
from app.predictions.models import Prediction


async def read_predictions(database: Database) -> list[Prediction]:
    """Read every prediction."""
    async with database.transaction() as session:
        return list(await session.scalars(select(Prediction).order_by(Prediction.created_at)))


async def become(database: Database, count: int) -> list[Prediction]:
    """Wait until there are so many predictions, and read them."""
    async with asyncio.timeout(30):
        while len(rows := await read_predictions(database)) != count:
            await asyncio.sleep(0.02)
    return rows


async def add_prediction(database: Database, owner_id: UUID, days: float = 0) -> None:
    """Store a prediction that is so many days old."""
    async with database.transaction() as session:
        session.add(
            Prediction(
                owner_id=owner_id,
                created_at=datetime.now(UTC) - timedelta(days=days),
                endpoint="classifications",
                model="moods",
                version="1",
                input_sha256="0" * 64,
                outputs={"scores": {}},
            )
        )
