"""Fixtures for the tests of telemetry."""

from collections.abc import Iterator

import pytest

from app.auth.caller import ACCOUNT_SCOPES
from app.bootstrap import Services
from tests.observability.collector import Collector, collecting


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Run an OpenTelemetry collector."""
    with collecting() as collector:
        yield collector


@pytest.fixture
async def key(services: Services) -> str:
    """Return the key of a new account."""
    caller = await services.auth.ensure_account("ada@example.com")
    return (await services.auth.create_key("test", ACCOUNT_SCOPES, caller=caller)).secret
