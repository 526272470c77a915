"""A service with registered models."""

from pathlib import Path

import httpx2
import pytest

from app.bootstrap import Services
from app.inference.model_folders import ModelsSettings
from app.settings import Settings
from tests.http import Person, join
from tests.inference.tensor_graphs import affine, centred, echo, lookup, masked_sum, register


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    models = tmp_path / "models"
    for version in ("1", "2"):
        register(models, "affine", affine(float(version)), version)
    register(models, "centred", centred())
    register(models, "echo", echo())
    register(models, "fixed", affine(rows=2))
    register(models, "lookup", lookup(), max_shape={"index": [64, 16]})
    register(models, "masked", masked_sum(), allow_nonfinite=True)
    return settings.model_copy(update={"models": ModelsSettings(folder=models)})


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")
