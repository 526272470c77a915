"""Fixtures: the service with a fake provider whose answers the tests set, and a user."""

import httpx2
import pytest

from app.bootstrap import Services
from app.jobs.settings import JobsSettings
from app.settings import Settings
from tests.chat.fake_provider import FakeProvider
from tests.chat.service import Provider, provider_settings
from tests.http import Person, join


@pytest.fixture
def settings(settings: Settings, provider: FakeProvider, kind: Provider, model: str) -> Settings:
    """Settings with the fake provider behind the service and jobs that are retried without delay."""
    return settings.model_copy(
        update={"language_model": provider_settings(provider, kind, model), "jobs": JobsSettings(backoff_base=0)}
    )


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    """A user who requests extractions."""
    return await join(client, services, "ada@example.com")
