"""Extraction without a language model."""

import httpx2
import pytest

from app.bootstrap import Services
from app.settings import Settings
from tests.extraction.invoices import BODY
from tests.http import join
from tests.usage.rows import read_rows


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Settings without a language model provider."""
    return settings.model_copy(update={"language_model": type(settings.language_model)()})


async def test_the_offline_model_says_that_it_cannot_and_costs_nothing(
    client: httpx2.AsyncClient, services: Services
) -> None:
    ada = await join(client, services, "ada@example.com")
    response = await ada.request("POST", "/v1/extractions", json=BODY)
    problem = response.json()
    assert (response.status_code, problem["code"], problem["param"]) == (400, "unsupported_parameter", "model")
    assert "APP_LANGUAGE_MODEL__PROVIDER" in problem["detail"]
    assert await read_rows(services.ports.database) == []
