"""Keyset pagination: a page of items, newest first, and an opaque cursor to the next one."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy import Select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Record
from app.errors import UnprocessableError

MAX_LIMIT = 100

Item = TypeVar("Item")
Row = TypeVar("Row", bound=Record)


class Page(BaseModel, Generic[Item]):
    """One page of a list, newest first."""

    items: list[Item]
    next_cursor: str | None = Field(description="pass it as `cursor` for the next page; null on the last one")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """A request for at most `limit` items after `cursor`."""

    limit: int = 20
    cursor: str | None = None


async def read_page(
    session: AsyncSession, statement: Select[Row], table: type[Row], request: PageRequest
) -> tuple[list[Row], str | None]:
    """Return one page of a statement's rows, and the cursor of the next one, or None on the last page.

    Raises:
        UnprocessableError: the cursor is invalid.
    """
    if request.cursor is not None:
        statement = statement.where(tuple_(table.created_at, table.id) < _decode(request.cursor))
    newest_first = statement.order_by(table.created_at.desc(), table.id.desc()).limit(request.limit + 1)
    rows = list(await session.scalars(newest_first))
    page = rows[: request.limit]
    return page, _encode(page[-1]) if len(rows) > request.limit else None


def _encode(row: Record) -> str:
    position = json.dumps([row.created_at.isoformat(), row.id.hex])
    return base64.urlsafe_b64encode(position.encode()).decode()


def _decode(cursor: str) -> tuple[datetime, UUID]:
    try:
        created_at, row_id = json.loads(base64.urlsafe_b64decode(cursor))
        return datetime.fromisoformat(created_at).astimezone(UTC), UUID(hex=row_id)
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UnprocessableError("The cursor is not one that this service gave out.") from error
