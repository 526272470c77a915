"""A service with a small registered cross-encoder."""

from pathlib import Path

import httpx2
import pytest

from app.auth.caller import Scope
from app.bootstrap import Services
from app.inference.model_folders import ModelsSettings
from app.settings import Settings
from tests.http import Person, join
from tests.reranking.graphs import cross_encoder, register_cross_encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


@pytest.fixture
def settings(settings: Settings, folder: Path) -> Settings:
    """Return settings with one cross-encoder; tests register others before they use the service."""
    register_cross_encoder(folder, cross_encoder())
    return settings.model_copy(update={"models": ModelsSettings(folder=folder)})


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


@pytest.fixture
async def operator(client: httpx2.AsyncClient, services: Services) -> Person:
    """Return a person with a key from the command line."""
    return await join(client, services, "operator@example.com", *Scope)
