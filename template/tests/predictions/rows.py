"""Helpers that create and read predictions in the database."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import select

from app.database import Database
from app.predictions.models import Prediction


async def read_predictions(database: Database) -> list[Prediction]:
    """Return all predictions, oldest first."""
    async with database.transaction() as session:
        return list(await session.scalars(select(Prediction).order_by(Prediction.created_at)))


async def wait_for_predictions(database: Database, count: int) -> list[Prediction]:
    """Wait until there are this many predictions and return them."""
    async with asyncio.timeout(30):
        while len(rows := await read_predictions(database)) != count:
            await asyncio.sleep(0.02)
    return rows


async def add_prediction(database: Database, owner_id: UUID, days: float = 0) -> None:
    """Insert a prediction of this age."""
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
