"""A webhook receiver on this machine, and a service that may call it."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from app.bootstrap import Services
from app.settings import Settings
from app.webhooks.settings import WebhooksSettings
from tests.http import Person, join
from tests.webhooks.receiver import Receiver, serve_receiver

ATTEMPTS = 3


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return settings that allow calls to this machine and retry at once."""
    webhooks = WebhooksSettings(allow_loopback=True, retry_after=[0] * (ATTEMPTS - 1))
    return settings.model_copy(update={"webhooks": webhooks})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Run a webhook receiver."""
    async with serve_receiver() as serving:
        yield serving


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    """Return a person who registers endpoints."""
    return await join(client, services, "ada@example.com")
