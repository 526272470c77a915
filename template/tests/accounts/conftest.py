"""Accounts that own things, and their deletion."""

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
    """Somebody whose account is looked after."""
    return await join(client, services, "ada@example.com")


@pytest.fixture
async def eve(client: httpx2.AsyncClient, services: Services) -> Person:
    """Somebody who has nothing to do with it."""
    return await join(client, services, "eve@example.com")


@pytest.fixture
async def deletion(services: Services, settings: Settings) -> AsyncIterator[AccountDeletion]:
    """What deletes accounts in the stores of the test, and waits for no other process."""
    ports = services.ports
    async with open_valkey(settings.valkey) as valkey:
        forget = None
        if valkey is not None:
            forget = ValkeyAnswerCache(valkey, settings.valkey.prefix, settings.answer_cache.max_bytes).forget
        yield AccountDeletion(ports.database, ports.files, ports.vectors, forget, believed_seconds=0)
