"""The service in front of a provider whose answers the tests write."""

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
    """The settings of a service with that provider behind it, whose jobs are tried again at once."""
    return settings.model_copy(
        update={"language_model": provider_settings(provider, kind, model), "jobs": JobsSettings(backoff_base=0)}
    )


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    """Somebody who wants data."""
    return await join(client, services, "ada@example.com")
