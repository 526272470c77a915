"""Fixtures: the service with a fake provider behind it, and a conversation."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from app.guardrails.settings import GuardrailSettings
from app.settings import Settings
from tests.chat.fake_provider import FakeProvider
from tests.chat.service import RunningService, provider_settings, run_service
from tests.conversations.talk import Talk


@pytest.fixture
def guardrails() -> dict[str, Any]:
    """The guardrail settings of the service, unless a test parametrizes them."""
    return {}


@pytest.fixture
async def service(
    settings: Settings, provider: FakeProvider, model: str, guardrails: dict[str, Any]
) -> AsyncIterator[RunningService]:
    """The running service with the fake provider behind it."""
    guarded = settings.model_copy(update={"guardrails": GuardrailSettings.model_validate(guardrails)})
    async with run_service(guarded, provider_settings(provider, "openai", model)) as running:
        yield running


@pytest.fixture
async def talk(service: RunningService) -> AsyncIterator[Talk]:
    """A new conversation over a real connection."""
    headers = {"Authorization": f"Bearer {service.key}"}
    async with httpx2.AsyncClient(base_url=service.url, headers=headers, timeout=60) as client:
        created = await client.post("/v1/conversations", json={"system": "Be brief."})
        assert created.status_code == 201, created.text
        yield Talk(client, f"/v1/conversations/{created.json()['id']}")
