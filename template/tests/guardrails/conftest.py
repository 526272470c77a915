"""Fixtures: the service with a fake provider and the guardrails that a test chooses, a user and a reviewer."""

from typing import Any

import httpx2
import pytest

from app.adapters.language_model import LanguageModelSettings
from app.auth.caller import REVIEWER_SCOPES
from app.bootstrap import Services
from app.guardrails.settings import GuardrailSettings
from app.settings import Settings
from tests.chat.fake_provider import FakeProvider
from tests.chat.service import connect
from tests.http import Person, join


@pytest.fixture
def guardrails() -> dict[str, Any]:
    """The guardrail settings of the service, unless a test parametrizes them."""
    return {}


@pytest.fixture
def settings(settings: Settings, provider: FakeProvider, guardrails: dict[str, Any]) -> Settings:
    """Settings with two aliases of the fake provider and these guardrails."""
    models = LanguageModelSettings.model_validate(
        {
            "providers": {"house": {"protocol": "openai", **connect(provider, "openai")}},
            "aliases": {"default": ["house:steady"], "fast": ["house:limited", "house:steady"]},
            "attempts": 1,
        }
    )
    guarding = GuardrailSettings.model_validate(guardrails)
    return settings.model_copy(update={"language_model": models, "guardrails": guarding})


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    """A user who asks."""
    return await join(client, services, "ada@example.com")


@pytest.fixture
async def rob(client: httpx2.AsyncClient, services: Services) -> Person:
    """A reviewer."""
    return await join(client, services, "rob@example.com", *REVIEWER_SCOPES)
