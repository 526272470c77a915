"""Fixtures: the service with a fake provider behind it, and a pair of providers."""

from collections.abc import AsyncIterator

import pytest

from app.adapters.circuit_breaker import CircuitBreakerSettings, LocalCircuitBreaker
from app.settings import Settings
from tests.chat.chains import Pair
from tests.chat.fake_provider import FakeProvider, serve_fake_provider
from tests.chat.service import Provider, RunningService, provider_settings, run_service


@pytest.fixture
async def service(
    settings: Settings, provider: FakeProvider, kind: Provider, model: str
) -> AsyncIterator[RunningService]:
    """The running service with the fake provider behind it."""
    async with run_service(settings, provider_settings(provider, kind, model)) as running:
        yield running


@pytest.fixture
async def pair(provider: FakeProvider) -> AsyncIterator[Pair]:
    """Two providers, the second a fallback for the first."""
    async with serve_fake_provider() as other:
        yield Pair(provider, other, LocalCircuitBreaker(CircuitBreakerSettings(failures=2, pause=60)))
