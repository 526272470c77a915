"""Accounts that own things, and their deletion."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from app.accounts.deletion import AccountDeletion
from app.adapters.kept_answers import open_kept_answers
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
        answers = open_kept_answers(settings.valkey, valkey)
        yield AccountDeletion(ports.database, ports.files, ports.vectors, answers, believed_seconds=0)
