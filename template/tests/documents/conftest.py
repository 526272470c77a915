"""Fixtures for tests of documents."""

import httpx2
import pytest

from app.bootstrap import Services
from tests.http import Person, join


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    """A user who has documents."""
    return await join(client, services, "ada@example.com")
