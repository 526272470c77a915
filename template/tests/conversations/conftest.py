"""The service in front of a fake provider, and somebody who talks."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from app.settings import Settings
from tests.chat.fake_provider import FakeProvider
from tests.chat.service import RunningService, provider_settings, run_service
from tests.conversations.talk import Talk


@pytest.fixture
async def service(settings: Settings, provider: FakeProvider, model: str) -> AsyncIterator[RunningService]:
    """The running service with the fake provider behind it."""
    async with run_service(settings, provider_settings(provider, "openai", model)) as running:
        yield running


@pytest.fixture
async def talk(service: RunningService) -> AsyncIterator[Talk]:
    """A conversation that has just begun, over a real connection."""
    headers = {"Authorization": f"Bearer {service.key}"}
    async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=60) as client:
        created = await client.post("/v1/conversations", json={"system": "Be brief."})
        assert created.status_code == 201, created.text
        yield Talk(client, f"/v1/conversations/{created.json()['id']}")
