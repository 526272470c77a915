"""Tests of loading, replacing and unloading cross-encoders while the service runs."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest

from app.bootstrap import Services
from app.reranking.reranker import Reranker
from app.settings import Settings
from tests.http import Person
from tests.inference.tensor_graphs import affine, register
from tests.reranking.graphs import cross_encoder, expected_logit, register_cross_encoder

QUERY, DOCUMENT = "w1 w2 w3", "w9"
MANY = {"query": QUERY, "documents": [DOCUMENT] * 1000}
LOGIT = expected_logit(QUERY, DOCUMENT, 16)
JUDGE = ("judge", "1")


async def rerank(person: Person, model: str | None = None) -> httpx2.Response:
    return await person.request(
        "POST", "/v1/rerank", json={"query": QUERY, "documents": [DOCUMENT]} | ({"model": model} if model else {})
    )


async def score(person: Person, model: str | None = None) -> tuple[str, float]:
    """Return the version that answers, and its score."""
    response = await rerank(person, model)
    assert response.status_code == 200, response.text
    [result] = response.json()["results"]
    return response.headers["X-Model"], result["relevance_score"]


def logit(times: float) -> object:
    """Return the expected logit of a graph whose numbers are scaled by this factor."""
    return pytest.approx(times * LOGIT, abs=1e-4)


async def change(person: Person, verb: str, name: str = "judge") -> httpx2.Response:
    return await person.request("POST", f"/v2/repository/models/{name}/{verb}")


async def index(person: Person, content: bytes = b"") -> dict[tuple[str, str], str]:
    response = await person.request("POST", "/v2/repository/index", content=content)
    return {(each["name"], each["version"]): each["state"] for each in response.json()}


async def registered(person: Person) -> set[tuple[str, str]]:
    """Return the models that the readiness probe lists."""
    ready = (await person.client.get("/health/ready")).json()
    return {(each["name"], each["version"]) for each in ready["registered_models"]}


def rewrite(folder: Path, version: str = "1", *, scale: float = 1.0, **changes: object) -> Path:
    """Replace the cross-encoder of a version; its scores are its logits."""
    shutil.rmtree(folder / f"judge-{version}", ignore_errors=True)
    return register_cross_encoder(folder, cross_encoder(scale=scale), version=version, activation="none", **changes)


async def test_a_cross_encoder_that_is_loaded_answers_and_is_listed(operator: Person, folder: Path) -> None:
    register_cross_encoder(folder, cross_encoder(), name="plain", activation="none")
    assert (await index(operator))["plain", "1"] == "UNAVAILABLE"
    assert (await rerank(operator, "plain")).status_code == 404
    response = await change(operator, "load", "plain")
    assert (response.status_code, response.content) == (200, b"")
    assert await score(operator, "plain") == ("plain@1", logit(1))
    assert (await index(operator))["plain", "1"] == "READY"
    assert await registered(operator) == {JUDGE, ("plain", "1")}
    assert (await operator.request("GET", "/v2/models/plain")).json()["versions"] == ["1"]
    # There are two models now.
    assert "judge, plain" in (await rerank(operator)).json()["detail"]


async def test_a_newer_version_answers_and_the_older_stays_for_who_names_it(operator: Person, folder: Path) -> None:
    before = await score(operator)
    for version in ("9", "10"):
        rewrite(folder, version, scale=float(version))
    assert (await change(operator, "load")).status_code == 200
    assert await score(operator) == ("judge@10", logit(10))
    assert await score(operator, "judge@9") == ("judge@9", logit(9))
    assert await score(operator, "judge@1") == before
    shutil.rmtree(folder / "judge-10")
    assert (await change(operator, "load")).status_code == 200
    assert await score(operator) == ("judge@9", logit(9))
    assert (await rerank(operator, "judge@10")).status_code == 404


async def test_a_changed_version_takes_the_place_of_the_old_one(operator: Person, folder: Path) -> None:
    rewrite(folder, scale=3.0)
    assert (await change(operator, "load")).status_code == 200
    assert await score(operator) == ("judge@1", logit(3))


async def test_what_is_unloaded_is_gone_until_it_is_loaded(operator: Person) -> None:
    before = await score(operator)
    assert (await change(operator, "unload")).status_code == 200
    refused = await rerank(operator)
    assert (refused.status_code, '"task": "rerank"' in refused.json()["detail"]) == (404, True)
    assert (await operator.request("GET", "/v2/models/judge")).status_code == 404
    assert (await index(operator))[JUDGE] == "UNAVAILABLE"
    assert await registered(operator) == set()
    assert (await change(operator, "unload")).status_code == 404
    assert (await change(operator, "load")).status_code == 200
    assert await score(operator) == before


class TestLongGrace:
    """A service with very long deadlines."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(
            update={"batching": settings.batching.model_copy(update={"deadline": 300, "shutdown_grace": 300})}
        )

    async def test_requests_that_have_begun_are_answered_by_the_version_that_they_began_with(
        self, operator: Person, services: Services
    ) -> None:
        served = services.ports.models.served
        with services.ports.rerankers.lease(served, "judge") as judge:
            begun = await begin(operator, judge)
            unload = asyncio.create_task(change(operator, "unload"))
            async with asyncio.timeout(60):
                while served.versions("judge"):
                    await asyncio.sleep(0)
            assert (await rerank(operator)).status_code == 404
            responses = await asyncio.gather(*begun)
            assert not unload.done()
        assert (await unload).status_code == 200
        # Some of the concurrent requests may have arrived too late to begin.
        answered = [each for each in responses if each.status_code != 404]
        assert {(each.status_code, each.headers["X-Model"]) for each in answered} == {(200, "judge@1")}
        assert all(len(each.json()["results"]) == 1000 for each in answered)

    async def test_a_client_that_has_gone_holds_no_model(self, operator: Person, services: Services) -> None:
        with services.ports.rerankers.lease(services.ports.models.served, "judge") as judge:
            begun = await begin(operator, judge)
        for each in begun:
            each.cancel()
        await asyncio.wait(begun)
        async with asyncio.timeout(60):
            assert (await change(operator, "unload")).status_code == 200


async def begin(person: Person, judge: Reranker) -> list[asyncio.Task[httpx2.Response]]:
    """Send large requests and wait until they are queued for the model."""
    begun = [asyncio.create_task(person.request("POST", "/v1/rerank", json=MANY)) for _ in range(8)]
    async with asyncio.timeout(60):
        while judge.batcher.waiting < len(MANY["documents"]):
            await asyncio.sleep(0)
    return begun


def break_checksum(folder: Path) -> None:
    with (rewrite(folder) / "model.onnx").open("ab") as file:
        file.write(b"!")


def break_graph(folder: Path) -> None:
    shutil.rmtree(folder / "judge-1")
    register_cross_encoder(folder, affine())


def break_tokenizer(folder: Path) -> None:
    path = rewrite(folder)
    (path / "tokenizer.json").write_text("{}")
    manifest = json.loads((path / "model.json").read_text())
    manifest["files"]["tokenizer.json"] = hashlib.sha256(b"{}").hexdigest()
    (path / "model.json").write_text(json.dumps(manifest))


def break_manifest(folder: Path) -> None:
    rewrite(folder, max_batch=0)


def misspell_task(folder: Path) -> None:
    rewrite(folder, task="reranc")


def repeat_version(folder: Path) -> None:
    (folder / "judge-1").rename(folder / "first")
    register(folder, "judge", affine())


def one_of_two(folder: Path) -> None:
    rewrite(folder, scale=5.0)
    register_cross_encoder(folder, affine(), version="2")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (break_checksum, "sha256"),
        (break_graph, "takes x"),
        (break_tokenizer, "is not a valid tokenizer"),
        (break_manifest, "max_batch"),
        (misspell_task, "not a valid manifest"),
        (repeat_version, "Two models are called judge@1"),
        (one_of_two, "takes x"),
    ],
)
async def test_what_cannot_be_served_changes_nothing_and_says_why(
    operator: Person, folder: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    before = await score(operator)
    spoil(folder)
    response = await change(operator, "load")
    assert (response.status_code, reason in response.json()["error"]) == (409, True), response.text
    assert await score(operator) == before
    assert await registered(operator) == {JUDGE}
    shutil.rmtree(folder)
    rewrite(folder, scale=5.0)
    assert (await change(operator, "load")).status_code == 200
    assert await score(operator) == ("judge@1", logit(5))


async def test_a_newer_version_of_another_task_leaves_the_cross_encoder_to_those_who_rerank(
    operator: Person, folder: Path
) -> None:
    before = await score(operator)
    register(folder, "judge", affine(), "2")
    assert (await change(operator, "load")).status_code == 200
    assert await score(operator) == before
    assert (await operator.request("GET", "/v2/models/judge")).json()["inputs"][0]["name"] == "x"
    assert (await rerank(operator, "judge@2")).status_code == 404


async def test_a_version_whose_task_changes_is_another_model(operator: Person, folder: Path) -> None:
    shutil.rmtree(folder / "judge-1")
    register(folder, "judge", affine())
    assert (await change(operator, "load")).status_code == 200
    assert (await rerank(operator, "judge")).status_code == 404
    assert (await operator.request("GET", "/v2/models/judge")).json()["inputs"][0]["name"] == "x"
    rewrite(folder, scale=2.0)
    assert (await change(operator, "load")).status_code == 200
    assert await score(operator) == ("judge@1", logit(2))
