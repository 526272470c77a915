"""Tests of text classification over HTTP."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import onnx
import pytest
from tokenizers import Tokenizer

from app.auth.caller import Scope
from app.bootstrap import Services, open_ports
from app.errors import StartupError
from app.inference.model_folders import ModelsSettings
from app.settings import Settings
from tests.classification.graphs import LABELS, register_classifier, summing_classifier, table
from tests.http import Person, join
from tests.inference.tensor_graphs import affine

PATH = "/v1/classifications"
TOPICS = ["cooking", "football", "medicine"]
TEXTS = {
    "The striker scored twice before the referee ended the match.": "football",
    "Simmer the onions in butter, then add the stock and salt.": "cooking",
    "The doctor prescribed antibiotics for the infection.": "medicine",
}


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    models = tmp_path / "models"
    register_classifier(models, summing_classifier())
    register_classifier(models, summing_classifier(16), name="fixed", activation="sigmoid")
    return settings.model_copy(update={"models": ModelsSettings(folder=models)})


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


async def classify(person: Person, **body: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    response = await person.request("POST", PATH, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def tokenizer_of(services: Services, name: str) -> Tokenizer:
    classifier = services.ports.classifiers.find(services.ports.models.served.find(name))
    assert classifier is not None
    return classifier.tokenizer


async def test_each_text_gets_the_callers_labels_the_likeliest_first(ada: Person) -> None:
    answer = await classify(ada, input=list(TEXTS), labels=TOPICS)
    assert (answer["model"], answer["version"]) == ("static-minilm", "1")
    assert answer["usage"]["total_tokens"] > 30
    for expected, result in zip(TEXTS.values(), answer["results"], strict=True):
        scores = [each["score"] for each in result["labels"]]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1, abs=1e-5)
        assert sorted(each["label"] for each in result["labels"]) == TOPICS
        assert result["labels"][0]["label"] == expected


async def test_scores_are_the_softmax_of_cosines_over_the_temperature(ada: Person, services: Services) -> None:
    text = next(iter(TEXTS))
    body = {"input": text, "labels": TOPICS, "hypothesis": "This is about {}.", "temperature": 0.3}
    [result] = (await classify(ada, **body))["results"]
    sentences = [f"This is about {topic}." for topic in TOPICS]
    vectors = (await services.ports.embedder.embed([text, *sentences])).vectors
    powers = np.exp(vectors[1:] @ vectors[0] / 0.3)
    expected = dict(zip(TOPICS, powers / powers.sum(), strict=True))
    assert {each["label"]: each["score"] for each in result["labels"]} == pytest.approx(expected, abs=1e-4)


async def test_a_low_temperature_is_surer_than_a_high_one(ada: Person) -> None:
    body = {"input": next(iter(TEXTS)), "labels": TOPICS}
    sure = await classify(ada, **body, temperature=0.01)
    unsure = await classify(ada, **body, temperature=10)
    assert sure["results"][0]["labels"][0]["score"] > 0.9 > unsure["results"][0]["labels"][0]["score"]


async def test_a_registered_classifier_scores_by_its_own_labels(ada: Person, services: Services) -> None:
    texts = [*TEXTS, "short"]
    answer = await classify(ada, input=texts, model="moods")
    assert (answer["model"], answer["version"]) == ("moods", "1")
    tokenizer = tokenizer_of(services, "moods")
    for text, result in zip(texts, answer["results"], strict=True):
        powers = np.exp(table()[tokenizer.encode(text).ids].sum(axis=0))
        expected = dict(zip(LABELS, powers / powers.sum(), strict=True))
        assert {each["label"]: each["score"] for each in result["labels"]} == pytest.approx(expected, abs=1e-4)


async def test_labels_that_may_all_fit_are_scored_each_by_itself(ada: Person, services: Services) -> None:
    [result] = (await classify(ada, input="short", model="fixed"))["results"]
    ids = tokenizer_of(services, "fixed").encode("short").ids
    expected = dict(zip(LABELS, 1 / (1 + np.exp(-table()[ids].sum(axis=0))), strict=True))
    assert {each["label"]: each["score"] for each in result["labels"]} == pytest.approx(expected, abs=1e-4)


async def test_headers_name_what_ran_and_how_long_it_took(ada: Person) -> None:
    body = {"input": "short", "model": "moods"}
    headers = (await ada.request("POST", PATH, json=body)).headers
    assert headers["X-Model"] == "moods@1"
    assert headers["X-Model-Provider"]
    assert headers["Server-Timing"].startswith("queue;dur=")


GOOD: dict[str, Any] = {"input": "short", "labels": TOPICS}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"input": "short"},
        {"labels": TOPICS},
        GOOD | {"input": ""},
        GOOD | {"input": []},
        GOOD | {"input": [""]},
        GOOD | {"input": 7},
        GOOD | {"input": [7]},
        GOOD | {"input": ["x"] * 2049},
        GOOD | {"input": "word " * 600},
        GOOD | {"labels": []},
        GOOD | {"labels": ["one"]},
        GOOD | {"labels": ["one", "one"]},
        GOOD | {"labels": ["one", " "]},
        GOOD | {"labels": ["one", "x" * 201]},
        GOOD | {"labels": [str(number) for number in range(101)]},
        GOOD | {"labels": "one, two"},
        GOOD | {"hypothesis": "no place"},
        GOOD | {"hypothesis": "{} and {}"},
        GOOD | {"hypothesis": "{} " + "x" * 500},
        GOOD | {"hypothesis": "{} " + "." * 490, "labels": ["." * 100, "," * 100]},
        GOOD | {"temperature": 0},
        GOOD | {"temperature": -1},
        GOOD | {"temperature": "NaN"},
        GOOD | {"temperature": 1e9},
        GOOD | {"model": "moods"},
        {"input": "word " * 20, "model": "moods"},
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


@pytest.mark.parametrize("model", ["other", "moods@2"])
async def test_an_unknown_model_is_not_found_and_the_others_are_named(ada: Person, model: str) -> None:
    refused = await ada.request("POST", PATH, json=GOOD | {"model": model})
    assert refused.status_code == 404
    for name in ("static-minilm", "fixed", "moods"):
        assert name in refused.json()["detail"]


async def test_a_key_needs_the_scope(client: httpx2.AsyncClient, services: Services) -> None:
    may = await join(client, services, "ada@example.com", Scope.CLASSIFICATIONS)
    may_not = await join(client, services, "eve@example.com", Scope.EMBEDDINGS)
    assert (await may.request("POST", PATH, json=GOOD)).status_code == 200
    assert (await may_not.request("POST", PATH, json=GOOD)).status_code == 403
    assert (await client.post(PATH, json=GOOD)).status_code == 401


async def change(person: Person, verb: str, name: str = "moods") -> httpx2.Response:
    return await person.request("POST", f"/v2/repository/models/{name}/{verb}")


def rewrite(settings: Settings, version: str = "1", **changes: Any) -> None:  # noqa: ANN401 - whatever JSON holds
    shutil.rmtree(settings.models.folder / f"moods-{version}", ignore_errors=True)
    register_classifier(settings.models.folder, summing_classifier(), version=version, **changes)


async def test_classifiers_change_without_a_restart_and_no_request_is_lost(
    ada: Person, services: Services, settings: Settings
) -> None:
    operator = await join(ada.client, services, "operator@example.com", *Scope)
    over = asyncio.Event()
    seen: set[tuple[int, frozenset[str]]] = set()

    async def call() -> None:
        while not over.is_set():
            response = await ada.request("POST", PATH, json={"input": "short", "model": "moods"})
            found = response.json()["results"][0]["labels"] if response.status_code == 200 else []
            seen.add((response.status_code, frozenset(each["label"] for each in found)))

    async with asyncio.TaskGroup() as callers:
        for _ in range(20):
            callers.create_task(call())
        for number in range(4):
            rewrite(settings, labels=[f"{label} {number}" for label in LABELS])
            assert (await change(operator, "load")).status_code == 200
            [result] = (await classify(ada, input="short", model="moods"))["results"]
            assert {each["label"] for each in result["labels"]} == {f"{label} {number}" for label in LABELS}
        over.set()
    generations = [LABELS, *([f"{label} {number}" for label in LABELS] for number in range(4))]
    assert seen <= {(200, frozenset(labels)) for labels in generations}


async def test_an_unloaded_classifier_is_gone_by_any_name_until_it_is_loaded(ada: Person, services: Services) -> None:
    operator = await join(ada.client, services, "operator@example.com", *Scope)
    assert (await change(operator, "unload")).status_code == 200
    refused = await ada.request("POST", PATH, json={"input": "short", "model": "moods"})
    assert (refused.status_code, "moods" in refused.json()["detail"]) == (404, False)
    assert (await change(operator, "load")).status_code == 200
    for name in ("moods", "moods@1"):
        await classify(ada, input="short", model=name)


async def test_a_version_that_does_not_classify_changes_nothing_and_says_why(
    ada: Person, services: Services, settings: Settings
) -> None:
    operator = await join(ada.client, services, "operator@example.com", *Scope)
    rewrite(settings, "2", labels=LABELS[:2])
    refused = await change(operator, "load")
    assert (refused.status_code, "[texts, 2]" in refused.json()["error"]) == (409, True)
    assert (await classify(ada, input="short", model="moods"))["version"] == "1"
    rewrite(settings, "2", activation="sigmoid")
    assert (await change(operator, "load")).status_code == 200
    assert (await classify(ada, input="short", model="moods"))["version"] == "2"


@pytest.mark.parametrize(
    ("graph", "changes", "reason"),
    [
        (affine(), {}, "takes x"),
        (summing_classifier(), {"labels": LABELS[:2]}, r"\[texts, 2\]"),
        (summing_classifier(8), {"max_tokens": 4}, "max_tokens"),
        (summing_classifier(8), {"max_tokens": 16}, "declare max_tokens as 8"),
    ],
)
async def test_a_classifier_that_is_none_ends_the_start_with_a_reason(
    settings: Settings, tmp_path: Path, graph: onnx.ModelProto, changes: dict[str, Any], reason: str
) -> None:
    register_classifier(tmp_path / "other", graph, **changes)
    broken = settings.model_copy(update={"models": ModelsSettings(folder=tmp_path / "other")})
    with pytest.raises(StartupError, match=reason):
        async with open_ports(broken, serving=True):
            pass
