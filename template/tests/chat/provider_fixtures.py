"""A pytest plugin that gives each test a fake provider; the tests of several features use it."""

from collections.abc import AsyncIterator

import pytest

from app import event_stream
from app.settings import Settings
from tests.chat.fake_provider import FakeProvider, serve_fake_provider
from tests.chat.service import Provider


@pytest.fixture
async def provider() -> AsyncIterator[FakeProvider]:
    """A fake provider that behaves as the model name says and writes what the test sets."""
    async with serve_fake_provider() as fake:
        yield fake


@pytest.fixture
def kind() -> Provider:
    """The protocol between service and provider, unless a test parametrizes it."""
    return "openai"


@pytest.fixture
def model() -> str:
    """The model name, which selects what the provider does, unless a test parametrizes it."""
    return "steady"


@pytest.fixture
def first_bytes_soon(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - overrides its time
    """Send the first bytes of a stream without waiting for the first word, unlike the default of `settings`."""
    monkeypatch.setattr(event_stream, "FIRST_BYTE_SECONDS", 0.1)
