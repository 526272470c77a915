"""Fixtures: items that wait for a reviewer, their owner, and reviewers."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import httpx2
import pytest

from app.auth.caller import REVIEWER_SCOPES
from app.bootstrap import Services
from app.extraction.release import EXTRACTION
from app.reviews.service import NewReview
from tests.extraction.invoices import SCHEMA, TEXT
from tests.http import Person, join

WAITING = {"number": 2041, "total": 84.5}


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    """The owner of the items."""
    return await join(client, services, "ada@example.com")


@pytest.fixture
def reviewer(client: httpx2.AsyncClient, services: Services) -> Callable[[str], Awaitable[Person]]:
    """Return a function that creates a reviewer, as the operator does."""

    async def make(email: str) -> Person:
        return await join(client, services, email, *REVIEWER_SCOPES)

    return make


@pytest.fixture
async def rob(reviewer: Callable[[str], Awaitable[Person]]) -> Person:
    """A reviewer."""
    return await reviewer("rob@example.com")


@pytest.fixture
def put(services: Services, ada: Person) -> Callable[..., Awaitable[UUID]]:
    """Return a function that puts an item of Ada's into the queue."""

    async def put_one(output: object = WAITING) -> UUID:
        owner = await services.auth.ensure_account(ada.email)
        given = {"text": TEXT, "schema": SCHEMA, "instructions": None}
        async with services.ports.database.transaction() as session:
            new = NewReview(EXTRACTION, "The number is no string.", given, output)
            return (await services.reviews.record(session, new, owner_id=owner.id)).id

    return put_one
