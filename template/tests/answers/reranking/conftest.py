"""Fixtures: the service with a small cross-encoder that reranks what a search finds."""

from pathlib import Path

import httpx2
import pytest

from app.answers.settings import SearchSettings
from app.bootstrap import Services
from app.inference.model_folders import ModelsSettings
from app.settings import Settings
from tests.answers.reranking.judged import MAX_TOKENS, SCALE
from tests.http import Person, join
from tests.reranking.graphs import cross_encoder, register_cross_encoder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    models = tmp_path / "models"
    register_cross_encoder(models, cross_encoder(scale=SCALE), max_tokens=MAX_TOKENS)
    return models


@pytest.fixture
def search_settings() -> SearchSettings:
    return SearchSettings(reranker="judge", rerank_timeout=60)


@pytest.fixture
def settings(settings: Settings, folder: Path, search_settings: SearchSettings) -> Settings:
    return settings.model_copy(update={"models": ModelsSettings(folder=folder), "search": search_settings})


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")
