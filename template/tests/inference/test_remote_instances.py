"""Tests of a service whose models run on other instances: real processes that are killed and restarted."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pytest

from app.adapters.remote_inference import RemoteInferenceSettings
from app.auth.caller import ACCOUNT_SCOPES, Scope
from app.auth.service import AuthService
from app.bootstrap import Services
from app.database import Database
from app.inference.model_folders import ModelsSettings
from app.settings import Settings
from tests.http import Person, join
from tests.inference.instances import Instance
from tests.inference.tensor_graphs import affine, lookup, register
from tests.reranking.graphs import cross_encoder, expected_logit, register_cross_encoder

EMBEDDING = Path(__file__).parents[2] / "models" / "embedding"
TEXTS = ["How long is the guarantee?", "Twenty-four months. " * 30, "déjà vu ☃"]


@pytest.fixture
def remotes(tmp_path: Path) -> Iterator[list[Instance]]:
    """Return two instances that have the models."""
    environment = {"APP_MODELS__FOLDER": str(tmp_path / "theirs")}
    known = [Instance(environment, tmp_path / f"instance-{number}.log") for number in range(2)]
    yield known
    for each in known:
        each.kill()


@pytest.fixture
async def settings(settings: Settings, remotes: list[Instance], database: Database, tmp_path: Path) -> Settings:
    """Return settings of a service that has only the manifests of the text and tensor models, not their graphs."""
    folders = {name: register(tmp_path / "theirs", name, graph) for name, graph in GRAPHS.items()}
    folders["judge"] = register_cross_encoder(tmp_path / "theirs", cross_encoder())
    for each in remotes:
        each.start()
    for name, folder in (folders | {"static-minilm": EMBEDDING}).items():
        without_graph(folder, tmp_path / "ours" / name)
    auth = AuthService(database, settings.auth)
    key = await auth.create_key("front", ACCOUNT_SCOPES, caller=await auth.ensure_account("front@example.com"))
    remote = RemoteInferenceSettings.model_validate(
        {
            "urls": [each.url for each in remotes],
            "models": {name: name for name in (*GRAPHS, "judge", "static-minilm", "shapes")},
            "api_key": key.secret,
            "max_pause": 1,
        }
    )
    for each in remotes:
        await each.ready()
    changes = {
        "embedding": settings.embedding.model_copy(update={"folder": tmp_path / "ours" / "static-minilm"}),
        "models": ModelsSettings(folder=tmp_path / "ours"),
        "remote_inference": remote,
    }
    return settings.model_copy(update=changes)


GRAPHS = {"affine": affine(), "lookup": lookup()}


def without_graph(theirs: Path, ours: Path) -> None:
    shutil.copytree(theirs, ours, ignore=shutil.ignore_patterns("model.onnx"))
    manifest = json.loads((ours / "model.json").read_text())
    del manifest["files"]["model.onnx"]
    (ours / "model.json").write_text(json.dumps(manifest))


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


async def embed(person: Person) -> httpx2.Response:
    return await person.request("POST", "/v1/embeddings", json={"model": "static-minilm", "input": TEXTS})


async def infer(
    person: Person, model: str, name: str, tensor: np.ndarray[tuple[int, ...], np.dtype[np.generic]]
) -> httpx2.Response:
    datatype = {"float32": "FP32", "int64": "INT64"}[str(tensor.dtype)]
    given = {"name": name, "datatype": datatype, "shape": list(tensor.shape), "data": tensor.tolist()}
    return await person.request("POST", f"/v2/models/{model}/infer", json={"inputs": [given]})


async def test_models_that_run_elsewhere_answer_as_they_do_there(ada: Person, remotes: list[Instance]) -> None:
    ours = await embed(ada)
    async with httpx2.AsyncClient(base_url=remotes[1].url) as client:
        theirs = await embed(Person(client, ada.services, ada.email, ada.headers))
    assert ours.headers["X-Model-Provider"] == f"remote:{remotes[0].host}"
    assert theirs.headers["X-Model-Provider"].endswith("ExecutionProvider")
    vectors = [[each["embedding"] for each in response.json()["data"]] for response in (ours, theirs)]
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)

    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    done = await infer(ada, "affine", "x", x)
    assert done.headers["X-Model-Provider"] == f"remote:{remotes[0].host}"
    assert done.json()["outputs"][0]["data"] == (2 * x + 1).ravel().tolist()

    judged = await ada.request("POST", "/v1/rerank", json={"query": "w1 w2", "documents": ["w3", "w4 w5"]})
    assert judged.headers["X-Model-Provider"] == f"remote:{remotes[0].host}"
    scores = {each["index"]: each["relevance_score"] for each in judged.json()["results"]}
    logits = np.array([expected_logit("w1 w2", document, 16) for document in ("w3", "w4 w5")])
    np.testing.assert_allclose([scores[0], scores[1]], 1 / (1 + np.exp(-logits)), atol=1e-5)

    ready = (await ada.client.get("/health/ready")).json()
    assert ready["detection_model"]["provider"] == f"remote:{remotes[0].host}"

    # Only the remote graph can detect this; the others in the batch still get their results.
    good, bad = await asyncio.gather(*(infer(ada, "lookup", "index", np.array([[at]])) for at in (3, 99)))
    assert (good.status_code, bad.status_code) == (200, 400)
    assert good.json()["outputs"][0]["data"] == [40]


async def test_a_cross_encoder_that_runs_elsewhere_is_unloaded_and_loaded_as_others_are(
    ada: Person, services: Services, remotes: list[Instance]
) -> None:
    operator = await join(ada.client, services, "operator@example.com", *Scope)
    for verb, status in (("unload", 404), ("load", 200)):
        changed = await operator.request("POST", f"/v2/repository/models/judge/{verb}")
        assert changed.status_code == 200, changed.text
        judged = await ada.request("POST", "/v1/rerank", json={"query": "w1 w2", "documents": ["w3"]})
        assert judged.status_code == status
    assert judged.headers["X-Model-Provider"] == f"remote:{remotes[0].host}"


async def test_callers_notice_nothing_of_an_instance_that_is_killed_and_comes_back(
    ada: Person, remotes: list[Instance]
) -> None:
    first, second = remotes
    statuses: Counter[int] = Counter()
    providers: Counter[str] = Counter()
    over = asyncio.Event()

    async def call() -> None:
        while not over.is_set():
            response = await embed(ada)
            statuses[response.status_code] += 1
            providers[response.headers.get("X-Model-Provider", "none")] += 1

    async def answers_of(instance: Instance) -> None:
        seen = providers[f"remote:{instance.host}"]
        async with asyncio.timeout(60):
            while providers[f"remote:{instance.host}"] < seen + 20:
                await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as callers:
        for _ in range(8):
            callers.create_task(call())
        await answers_of(first)
        first.kill()
        await answers_of(second)
        first.start()
        await first.ready()
        await answers_of(first)
        over.set()
    assert set(statuses) == {200}


async def test_without_any_instance_the_service_says_so_and_recovers(ada: Person, remotes: list[Instance]) -> None:
    for each in remotes:
        each.kill()
    response = await embed(ada)
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) >= 1
    ready = await ada.client.get("/health/ready")
    assert (ready.status_code, ready.json()["checks"]["remote_inference"]["ok"]) == (503, False)
    remotes[1].start()
    await remotes[1].ready()
    async with asyncio.timeout(60):
        while (await ada.client.get("/health/ready")).status_code != 200:
            await asyncio.sleep(0.05)
    assert (await embed(ada)).status_code == 200
