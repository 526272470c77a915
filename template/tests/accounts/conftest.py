"""Fixtures with accounts that own data, and with the service that deletes accounts."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from app.accounts.deletion import AccountDeletion
from app.adapters.answer_cache import ValkeyAnswerCache
from app.adapters.valkey import open_valkey
from app.bootstrap import Services
from app.settings import Settings
from tests.http import Person, join


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    """Return the person whose account the test changes."""
    return await join(client, services, "ada@example.com")


@pytest.fixture
async def eve(client: httpx2.AsyncClient, services: Services) -> Person:
    """Return an uninvolved person."""
    return await join(client, services, "eve@example.com")


@pytest.fixture
async def deletion(services: Services, settings: Settings) -> AsyncIterator[AccountDeletion]:
    """Return an account deletion on the test's stores that does not wait for other processes' caches."""
    ports = services.ports
    async with open_valkey(settings.valkey) as valkey:
        forget = None
        if valkey is not None:
            forget = ValkeyAnswerCache(valkey, settings.valkey.prefix, settings.answer_cache.max_bytes).forget
        yield AccountDeletion(ports.database, ports.files, ports.vectors, forget, cache_seconds=0)
