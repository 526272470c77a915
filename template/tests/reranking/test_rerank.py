"""Tests of reranking over HTTP."""

import asyncio
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import onnx
import pytest

from app.auth.caller import Scope
from app.bootstrap import Services, open_ports
from app.errors import StartupError, UpstreamFailedError
from app.inference.model_folders import ModelsSettings
from app.settings import Settings
from tests.classification.graphs import summing_classifier
from tests.http import Person, join
from tests.inference.tensor_graphs import affine
from tests.reranking.graphs import WORDS, cross_encoder, expected_logit, register_cross_encoder

PATH = "/v1/rerank"
QUERY = "w1 w2 w3"
DOCUMENTS = ["w4", "w5 w6 w7 w8", "w9 " * 40, "unknown", "w10 w11"]


async def rerank(person: Person, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    response = await person.request("POST", PATH, json={"query": QUERY, "documents": DOCUMENTS} | body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def sigmoid(logits: list[float]) -> list[float]:
    return [float(1 / (1 + np.exp(-logit))) for logit in logits]


async def test_documents_come_in_the_order_of_their_scores_cut_to_what_the_model_reads(ada: Person) -> None:
    answer = await rerank(ada)
    assert set(answer) == {"model", "results", "usage"}
    assert answer["model"] == "judge"
    scores = sigmoid([expected_logit(QUERY, document, 16) for document in DOCUMENTS])
    order = sorted(range(len(DOCUMENTS)), key=lambda at: -scores[at])
    assert [each["index"] for each in answer["results"]] == order
    for each in answer["results"]:
        assert set(each) == {"index", "relevance_score"}
        assert each["relevance_score"] == pytest.approx(scores[each["index"]], abs=1e-5)
    # Three special tokens and the query with each document; the longest is cut to sixteen.
    tokens = 5 * 6 + 1 + 4 + 10 + 1 + 2
    assert answer["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}


async def test_the_best_are_enough_and_documents_come_back_on_request(ada: Person) -> None:
    everything = await rerank(ada, top_n=None)
    best = await rerank(ada, top_n=2, return_documents=True)
    assert [each["index"] for each in best["results"]] == [each["index"] for each in everything["results"][:2]]
    assert all(each["document"] == {"text": DOCUMENTS[each["index"]]} for each in best["results"])
    assert len((await rerank(ada, top_n=99))["results"]) == len(DOCUMENTS)


async def test_of_equals_the_first_comes_first(ada: Person) -> None:
    answer = await rerank(ada, documents=["w7"] * 20)
    assert [each["index"] for each in answer["results"]] == list(range(20))


async def test_a_document_scores_alike_alone_with_others_and_beside_other_callers(
    ada: Person, services: Services
) -> None:
    random = np.random.default_rng(5)
    texts = [" ".join(random.choice(WORDS[4:], size=1 + number % 20)) for number in range(60)]
    alone = [(await rerank(ada, documents=[text]))["results"][0]["relevance_score"] for text in texts[:10]]
    eve = await join(ada.client, services, "eve@example.com")
    together = await asyncio.gather(*(rerank(who, documents=texts) for who in (ada, eve) * 4))
    for answer in together:
        scores = {each["index"]: each["relevance_score"] for each in answer["results"]}
        assert [scores[at] for at in range(10)] == pytest.approx(alone, abs=2e-6)


async def test_headers_name_what_ran_and_how_long_it_took(ada: Person) -> None:
    body = {"query": QUERY, "documents": DOCUMENTS}
    headers = (await ada.request("POST", PATH, json=body)).headers
    assert headers["X-Model"] == "judge@1"
    assert headers["X-Model-Provider"].endswith("ExecutionProvider")
    assert headers["Server-Timing"].startswith("queue;dur=")


async def test_the_model_takes_tensors_too(ada: Person) -> None:
    names = ("input_ids", "attention_mask", "token_type_ids")
    tensors = [{"name": name, "datatype": "INT64", "shape": [1, 2], "data": [1, 1]} for name in names]
    response = await ada.request("POST", "/v2/models/judge/infer", json={"inputs": tensors})
    assert response.status_code == 200, response.text
    assert response.json()["outputs"][0]["shape"] == [1, 1]


GOOD: dict[str, Any] = {"query": "w1", "documents": ["w2"]}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": "w1"},
        {"documents": ["w2"]},
        GOOD | {"query": ""},
        GOOD | {"query": 7},
        GOOD | {"query": None},
        GOOD | {"query": "w1 " * 13},
        GOOD | {"query": "x" * 100_001},
        GOOD | {"documents": []},
        GOOD | {"documents": "w2"},
        GOOD | {"documents": [""]},
        GOOD | {"documents": [7]},
        GOOD | {"documents": [{"text": "w2"}]},
        GOOD | {"documents": ["w2"] * 1001},
        GOOD | {"documents": ["x" * 100_001]},
        GOOD | {"top_n": 0},
        GOOD | {"top_n": "many"},
        GOOD | {"return_documents": "perhaps"},
        GOOD | {"model": 7},
        GOOD | {"more": 1},
        [],
        "x",
    ],
)
async def test_a_wrong_request_is_unprocessable_and_the_next_is_served(ada: Person, body: object) -> None:
    refused = await ada.request("POST", PATH, json=body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["code"] in {"invalid_payload", "unprocessable"}
    assert len(refused.content) < 3000
    assert (await ada.request("POST", PATH, json=GOOD)).status_code == 200


async def test_the_longest_query_leaves_room_for_a_word(ada: Person) -> None:
    query = "w1 " * 12
    [result] = (await rerank(ada, query=query, documents=["w2 w3"]))["results"]
    assert result["relevance_score"] == pytest.approx(sigmoid([expected_logit(query, "w2 w3", 16)])[0], abs=1e-5)


async def test_ten_megabytes_are_too_large(ada: Person) -> None:
    response = await ada.request("POST", PATH, json=GOOD | {"documents": ["x" * 99_000] * 110})
    assert response.status_code == 413


async def test_a_key_needs_the_scope(client: httpx2.AsyncClient, services: Services) -> None:
    may = await join(client, services, "ada@example.com", Scope.RERANK)
    may_not = await join(client, services, "eve@example.com", Scope.SEARCH)
    assert (await may.request("POST", PATH, json=GOOD)).status_code == 200
    assert (await may_not.request("POST", PATH, json=GOOD)).status_code == 403
    assert (await client.post(PATH, json=GOOD)).status_code == 401


async def test_an_unknown_model_is_not_found_and_the_others_are_named(ada: Person) -> None:
    refused = await ada.request("POST", PATH, json=GOOD | {"model": "other"})
    assert (refused.status_code, refused.json()["code"]) == (404, "model_not_found")
    assert "judge" in refused.json()["detail"]


class TestSeveralModels:
    """A service with several cross-encoders."""

    @pytest.fixture
    def settings(self, settings: Settings, folder: Path) -> Settings:
        register_cross_encoder(folder, cross_encoder(), version="10", activation="none")
        register_cross_encoder(folder, cross_encoder(types=False, keepdims=0), name="plain", activation="none")
        return settings

    async def test_the_newest_version_answers_unless_one_is_named(self, ada: Person) -> None:
        logit = expected_logit(QUERY, "w9", 16)
        for model, score in (("judge", logit), ("judge@10", logit), ("judge@1", sigmoid([logit])[0])):
            [result] = (await rerank(ada, model=model, documents=["w9"]))["results"]
            assert result["relevance_score"] == pytest.approx(score, abs=1e-5)

    async def test_a_model_may_do_without_types_and_give_one_dimension(self, ada: Person) -> None:
        [result] = (await rerank(ada, model="plain", documents=["w9"]))["results"]
        assert result["relevance_score"] == pytest.approx(expected_logit(QUERY, "w9", 16, types=False), abs=1e-5)

    async def test_with_several_one_must_be_named(self, ada: Person) -> None:
        refused = await ada.request("POST", PATH, json=GOOD)
        assert refused.status_code == 404
        assert "judge, plain" in refused.json()["detail"]


class TestNoModel:
    """A service without cross-encoders, as it ships."""

    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Settings:
        (tmp_path / "empty").mkdir()
        return settings.model_copy(update={"models": ModelsSettings(folder=tmp_path / "empty")})

    async def test_without_a_cross_encoder_the_remedy_is_told(self, ada: Person) -> None:
        refused = await ada.request("POST", PATH, json=GOOD)
        assert (refused.status_code, refused.json()["code"]) == (404, "model_not_found")
        assert '"task": "rerank"' in refused.json()["detail"]


async def test_a_model_that_gives_no_numbers_is_an_error_and_no_score(settings: Settings, folder: Path) -> None:
    register_cross_encoder(folder, cross_encoder(scale=float("inf")), name="wild")
    async with open_ports(settings, serving=True) as ports:
        leased = ports.rerankers.lease(ports.models.served, "wild")
        with leased as wild, pytest.raises(UpstreamFailedError, match="no scores"):
            await wild.score("w1", ["w2"], owner=None)


@pytest.mark.parametrize(
    ("graph", "changes", "reason"),
    [
        (affine(), {}, "takes x"),
        (cross_encoder(), {"files": {}}, "sha256"),
        (cross_encoder(), {"max_batch": 0}, "max_batch"),
        (cross_encoder(), {"surprise": 1}, "surprise"),
        (cross_encoder(), {"name": "static-minilm"}, "static-minilm@1"),
        (summing_classifier(), {}, "does not run as a cross-encoder"),
    ],
)
async def test_a_cross_encoder_that_is_none_ends_the_start_with_a_reason(
    settings: Settings, tmp_path: Path, graph: onnx.ModelProto, changes: dict[str, Any], reason: str
) -> None:
    register_cross_encoder(tmp_path / "other", graph, **changes)
    broken = settings.model_copy(update={"models": ModelsSettings(folder=tmp_path / "other")})
    with pytest.raises(StartupError, match=reason):
        async with open_ports(broken, serving=True):
            pass
