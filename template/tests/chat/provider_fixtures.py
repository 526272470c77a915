"""A fake provider for each test; a plugin of pytest, because the tests of several features have one behind them."""

from collections.abc import AsyncIterator

import pytest

from app import event_stream
from app.settings import Settings
from tests.chat.fake_provider import FakeProvider, serve_fake_provider
from tests.chat.service import Provider


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    """A provider that does what the name of the model says, and writes what the test says."""
    async with serve_fake_provider() as fake:
        yield fake


@pytest.fixture
def kind() -> Provider:
    """The protocol between service and provider, unless a test goes through several."""
    return "openai"


@pytest.fixture
def model() -> str:
    """What the provider does, unless a test says otherwise."""
    return "steady"


@pytest.fixture
def first_bytes_soon(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - it sets another time
    """The first bytes of a stream do not wait for the model's first word, though `settings` has tests be patient."""
    monkeypatch.setattr(event_stream, "FIRST_BYTE_SECONDS", 0.1)
