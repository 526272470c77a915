"""Tests that a request the model has no memory for gets a 503 and affects no other."""

import asyncio
from pathlib import Path

import httpx2
import pytest

from app.bootstrap import Services
from app.inference.model_folders import ModelsSettings
from app.settings import Settings
from tests.http import Person, join
from tests.inference.tensor_graphs import growing, register

# Four terabytes of numbers, which no system allocates.
TOO_MANY = 1_000_000_000_000


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    register(tmp_path / "models", "growing", growing())
    return settings.model_copy(update={"models": ModelsSettings(folder=tmp_path / "models")})


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


async def count(person: Person, number: int) -> httpx2.Response:
    given = {"name": "n", "datatype": "INT64", "shape": [1], "data": [number]}
    return await person.request("POST", "/v2/models/growing/infer", json={"inputs": [given]})


async def test_what_does_not_fit_is_told_to_come_back_and_the_next_is_served(ada: Person) -> None:
    for _ in range(3):
        refused = await count(ada, TOO_MANY)
        assert refused.status_code == 503, refused.text
        assert "memory" in refused.json()["error"]
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.headers["X-Error-Code"] == "out_of_memory"
        served = await count(ada, 1000)
        assert served.json()["outputs"][0]["data"] == [1000]
        assert (await ada.client.get("/health/ready")).status_code == 200


async def test_callers_beside_one_who_asks_for_too_much_are_served(ada: Person) -> None:
    answers = await asyncio.gather(*(count(ada, TOO_MANY if number % 5 == 0 else number) for number in range(1, 40)))
    assert [each.status_code for each in answers] == [503 if number % 5 == 0 else 200 for number in range(1, 40)]
