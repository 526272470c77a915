"""Embeddings and models over HTTP, in OpenAI's shape."""

import base64

import httpx2
import numpy as np
import pytest

from app.bootstrap import Services
from tests.http import Person, join


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


async def embed(person: Person, **body: object) -> httpx2.Response:
    return await person.request("POST", "/v1/embeddings", json={"model": "static-minilm"} | body)


async def test_one_text_and_several_give_vectors_in_order(ada: Person) -> None:
    one = (await embed(ada, input="first")).json()
    several = (await embed(ada, input=["first", "second"])).json()
    assert one["object"] == several["object"] == "list"
    assert [item["index"] for item in several["data"]] == [0, 1]
    np.testing.assert_allclose(one["data"][0]["embedding"], several["data"][0]["embedding"], atol=1e-5)
    assert several["usage"]["prompt_tokens"] == several["usage"]["total_tokens"] > 0


async def test_base64_carries_the_same_numbers(ada: Person) -> None:
    plain = (await embed(ada, input="text")).json()["data"][0]["embedding"]
    packed = (await embed(ada, input="text", encoding_format="base64")).json()["data"][0]["embedding"]
    np.testing.assert_allclose(np.frombuffer(base64.b64decode(packed), "<f4"), plain, atol=1e-6)


async def test_an_unknown_model_is_named_with_the_known_one(ada: Person) -> None:
    response = await embed(ada, input="text", model="gpt-99")
    assert response.status_code == 404
    assert "static-minilm" in response.json()["detail"]


@pytest.mark.parametrize("value", ["", [], ["a", ""], ["x"] * 2049, "x" * 100_001, 7])
async def test_bad_inputs_are_refused(ada: Person, value: object) -> None:
    assert (await embed(ada, input=value)).status_code == 422


async def test_the_list_of_models_names_version_and_provider(ada: Person, services: Services) -> None:
    [model] = (await ada.request("GET", "/v1/models")).json()["data"]
    assert (model["id"], model["object"]) == ("static-minilm", "model")
    assert model["provider"] == services.embeddings.embedder.provider
