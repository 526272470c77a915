"""Tests of the models for requests that give no model, or `default`."""

from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.bootstrap import Services, open_ports
from app.errors import StartupError
from app.inference.model_folders import ModelsSettings
from app.settings import Settings
from tests.classification.graphs import register_classifier, summing_classifier
from tests.http import Person, join
from tests.reranking.graphs import cross_encoder, register_cross_encoder

either = pytest.mark.parametrize("named", [{}, {"model": "default"}], ids=["none", "default"])


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    folder = tmp_path / "models"
    for name in ("moods", "other"):
        register_classifier(folder, summing_classifier(), name=name)
    for name in ("judge", "jury"):
        register_cross_encoder(folder, cross_encoder(), name=name)
    models = ModelsSettings(folder=folder, default_classifier="moods", default_reranker="jury@1")
    return settings.model_copy(update={"models": models})


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


async def model_of(person: Person, path: str, **body: Any) -> str:  # noqa: ANN401 - whatever JSON holds
    response = await person.request("POST", path, json=body)
    assert response.status_code == 200, response.text
    return response.headers["X-Model"]


@either
async def test_texts_without_labels_go_to_the_default_classifier(ada: Person, named: dict[str, str]) -> None:
    assert await model_of(ada, "/v1/classifications", input="w1", **named) == "moods@1"


@either
async def test_texts_with_labels_go_to_the_embedding_model(ada: Person, named: dict[str, str]) -> None:
    labels = ["cooking", "football"]
    assert await model_of(ada, "/v1/classifications", input="w1", labels=labels, **named) == "static-minilm@1"


@either
async def test_documents_go_to_the_default_reranker(ada: Person, named: dict[str, str]) -> None:
    assert await model_of(ada, "/v1/rerank", query="w1", documents=["w2"], **named) == "jury@1"


async def test_default_is_the_embedding_model(ada: Person) -> None:
    assert await model_of(ada, "/v1/embeddings", model="default", input="warranty") == "static-minilm@1"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"default_classifier": "judge"}, r"APP_MODELS__DEFAULT_CLASSIFIER names judge; .* are moods@1, other@1\.$"),
        ({"default_reranker": "moods"}, r"APP_MODELS__DEFAULT_RERANKER names moods; .* are judge@1, jury@1\.$"),
    ],
)
async def test_a_default_that_is_not_registered_ends_the_start(
    settings: Settings, changes: dict[str, str], reason: str
) -> None:
    broken = settings.model_copy(update={"models": settings.models.model_copy(update=changes)})
    with pytest.raises(StartupError, match=reason):
        async with open_ports(broken, serving=True):
            pass
