"""Tests of the OpenAI-compatible endpoints for embeddings and models."""

import base64
import re
from collections.abc import Sequence
from dataclasses import replace

import httpx2
import numpy as np
import pytest
from numpy.typing import NDArray

from app.bootstrap import Services
from app.inference.schemas import EmbeddingCreate, EmbeddingList
from tests.http import Person, join

TEXTS = ["first", "How long is the warranty?", "word " * 40]


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


async def embed(person: Person, **body: object) -> httpx2.Response:
    return await person.request("POST", "/v1/embeddings", json={"model": "static-minilm"} | body)


def vectors_in(response: httpx2.Response) -> NDArray[np.float32]:
    assert response.status_code == 200, response.text
    return np.asarray([item["embedding"] for item in response.json()["data"]], np.float32)


async def by_the_model(services: Services, texts: Sequence[str]) -> NDArray[np.float32]:
    return (await services.ports.embedder.embed(texts)).vectors


def ids_of(services: Services, *texts: str) -> list[list[int]]:
    return [encoding.ids for encoding in services.ports.embedder.tokenizer.encode_batch(texts)]


async def test_one_text_and_several_give_the_models_vectors_in_order(ada: Person, services: Services) -> None:
    expected = await by_the_model(services, TEXTS)
    several = await embed(ada, input=TEXTS)
    assert [item["index"] for item in several.json()["data"]] == [0, 1, 2]
    np.testing.assert_allclose(vectors_in(several), expected, atol=1e-6)
    one = await embed(ada, input=TEXTS[1])
    np.testing.assert_allclose(vectors_in(one), expected[1:2], atol=1e-6)
    assert one.json()["object"] == several.json()["object"] == "list"


async def test_token_ids_give_the_vectors_of_their_text(ada: Person, services: Services) -> None:
    expected = await by_the_model(services, TEXTS)
    ids = ids_of(services, *TEXTS)
    np.testing.assert_allclose(vectors_in(await embed(ada, input=ids)), expected, atol=1e-6)
    np.testing.assert_allclose(vectors_in(await embed(ada, input=ids[1])), expected[1:2], atol=1e-6)


async def test_usage_counts_the_tokens_that_the_model_reads(ada: Person, services: Services) -> None:
    ids = ids_of(services, *TEXTS)
    count = sum(map(len, ids))
    for value in (TEXTS, ids):
        usage = (await embed(ada, input=value)).json()["usage"]
        assert usage == {"prompt_tokens": count, "total_tokens": count}


async def test_base64_carries_exactly_the_same_numbers(ada: Person) -> None:
    plain = vectors_in(await embed(ada, input="text", encoding_format="float"))
    packed = (await embed(ada, input="text", encoding_format="base64")).json()["data"][0]["embedding"]
    np.testing.assert_array_equal(np.frombuffer(base64.b64decode(packed), "<f4"), plain[0])


@pytest.mark.parametrize("encoding", ["float", "base64"])
async def test_the_answer_is_what_the_documentation_describes(
    ada: Person, client: httpx2.AsyncClient, encoding: str
) -> None:
    answer = await embed(ada, input=TEXTS, encoding_format=encoding)
    assert answer.headers["Content-Type"] == "application/json"
    assert EmbeddingList.model_validate(answer.json()).model_dump() == answer.json()
    documented = (await client.get("/openapi.json")).json()["paths"]["/v1/embeddings"]["post"]["responses"]["200"]
    assert documented["content"] == {"application/json": {"schema": {"$ref": "#/components/schemas/EmbeddingList"}}}


async def test_fields_that_mean_nothing_here_are_accepted(ada: Person) -> None:
    response = await embed(ada, input="text", user="ada", dimensions=None, priority="high")
    assert response.status_code == 200


async def test_the_models_own_dimension_may_be_named_and_another_is_refused_with_it(ada: Person) -> None:
    whole = vectors_in(await embed(ada, input="text"))
    np.testing.assert_array_equal(vectors_in(await embed(ada, input="text", dimensions=160)), whole)
    response = await embed(ada, input="text", dimensions=64)
    assert response.status_code == 400
    assert "160" in response.json()["error"]["message"]
    assert (await embed(ada, input="text", dimensions=0)).status_code == 400


@pytest.fixture
def matryoshka(services: Services) -> None:
    """Replace the service's model by one whose vectors may be cut to 64 dimensions."""
    embedder = services.ports.embedder
    embedder.model = replace(embedder.model, matryoshka_dimensions=(64,))


@pytest.mark.usefixtures("matryoshka")
async def test_vectors_of_a_model_trained_for_it_are_cut_and_of_unit_length_again(ada: Person) -> None:
    whole = vectors_in(await embed(ada, input=TEXTS))
    cut = vectors_in(await embed(ada, input=TEXTS, dimensions=64))
    expected = whole[:, :64] / np.linalg.norm(whole[:, :64], axis=1, keepdims=True)
    np.testing.assert_allclose(cut, expected, atol=1e-6)
    refused = await embed(ada, input="text", dimensions=32)
    assert refused.status_code == 400
    assert "64, 160" in refused.json()["error"]["message"]


async def test_headers_name_what_made_the_vectors_and_its_times(ada: Person, services: Services) -> None:
    headers = (await embed(ada, input="text")).headers
    assert headers["X-Model"] == services.embeddings.embedder.model.identity
    assert headers["X-Model-Provider"] == services.embeddings.embedder.provider
    assert re.fullmatch(r"queue;dur=\d+\.\d\d, run;dur=\d+\.\d\d", headers["Server-Timing"])


async def test_an_unknown_model_is_named_with_the_known_one(ada: Person) -> None:
    response = await embed(ada, input="text", model="gpt-99")
    assert response.status_code == 404
    assert "static-minilm" in response.json()["error"]["message"]


@pytest.mark.parametrize(
    ("value", "location", "message"),
    [
        ("", "text", "at least 1 character"),
        ([], "texts", "at least 1 item"),
        (["a", ""], "texts.1", "at least 1 character"),
        (["a", 5], "texts.1", "valid string"),
        (["x"] * 2049, "texts", "at most 2048 items"),
        ("x" * 100_001, "text", "at most 100000 characters"),
        ([[]], "token_lists.0", "at least 1 item"),
        ([[5], []], "token_lists.1", "at least 1 item"),
        ([[5]] * 2049, "token_lists", "at most 2048 items"),
        ([[5], "a"], "token_lists.1", "valid list"),
        ([5, "6"], "tokens.1", "valid integer"),
        ([5, 6.5], "tokens.1", "valid integer"),
        ([5, -1], "tokens.1", "greater than or equal to 0"),
        ([5, 2**32], "tokens.1", "less than 4294967296"),
        ([True], "tokens.0", "valid integer"),
        ([None] * 2000, "texts.0", "valid string"),
        (7, "", "a text, a list of texts, a list of token ids"),
        ({"text": "a"}, "", "a text, a list of texts, a list of token ids"),
    ],
)
async def test_what_is_no_input_is_refused_with_its_place_and_one_reason(
    ada: Person, value: object, location: str, message: str
) -> None:
    response = await embed(ada, input=value)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", f"input.{location}".rstrip("."))
    assert message in error["message"]


async def test_a_single_space_can_be_embedded(ada: Person) -> None:
    np.testing.assert_allclose(np.linalg.norm(vectors_in(await embed(ada, input=[" "]))), 1, atol=1e-3)


async def test_an_input_beyond_the_models_limit_is_refused_and_named(ada: Person) -> None:
    assert (await embed(ada, input=["word " * 512])).json()["usage"]["total_tokens"] == 512
    for value in (["a", "word " * 1300], [[5], [5] * 1300]):
        response = await embed(ada, input=value)
        assert response.status_code == 400
        assert "Input 1 has 1,300 tokens, but static-minilm reads at most 512" in response.json()["error"]["message"]


async def test_more_tokens_than_one_request_may_have_are_refused_with_the_limit(ada: Person) -> None:
    response = await embed(ada, input=[[5] * 500] * 601)
    assert response.status_code == 400
    assert "more than 300,000 tokens together" in response.json()["error"]["message"]


async def test_a_token_id_outside_the_vocabulary_is_refused_and_named(ada: Person, services: Services) -> None:
    last = services.ports.embedder.tokenizer.get_vocab_size() - 1
    assert (await embed(ada, input=[[last]])).status_code == 200
    for beyond in (last + 1, 2**32 - 1):
        response = await embed(ada, input=[[5], [5, beyond]])
        assert response.status_code == 400
        assert (
            f"Input 1 has the token id {beyond}, which static-minilm does not know"
            in response.json()["error"]["message"]
        )


@pytest.mark.parametrize("example", EmbeddingCreate.model_json_schema()["examples"])
async def test_the_examples_of_the_documentation_are_answered(ada: Person, example: dict[str, object]) -> None:
    assert (await embed(ada, **example)).status_code == 200


async def test_the_list_of_models_names_version_and_provider(ada: Person, services: Services) -> None:
    model, *_ = (await ada.request("GET", "/v1/models")).json()["data"]
    assert (model["id"], model["object"]) == ("static-minilm", "model")
    assert model["provider"] == services.embeddings.embedder.provider
