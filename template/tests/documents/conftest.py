"""People who have documents."""

import httpx2
import pytest

from app.bootstrap import Services
from tests.http import Person, join


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    """Somebody whom the tests are about."""
    return await join(client, services, "ada@example.com")
