"""Tests of loading and unloading models while the service runs."""

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx2
import onnx
import pytest

from app.auth.caller import ACCOUNT_SCOPES, Scope
from app.bootstrap import Services
from app.settings import Settings
from tests.http import Person, join
from tests.inference.tensor_graphs import affine, centred, lookup, register

CALLERS = 50
RELOADS = 5


@pytest.fixture
async def operator(client: httpx2.AsyncClient, services: Services) -> Person:
    """Return a person with a key from the command line."""
    return await join(client, services, "operator@example.com", *Scope)


async def change(person: Person, verb: str, name: str = "affine", content: bytes = b"") -> httpx2.Response:
    return await person.request("POST", f"/v2/repository/models/{name}/{verb}", content=content)


async def index(person: Person, content: bytes = b"") -> dict[tuple[str, str], str]:
    response = await person.request("POST", "/v2/repository/index", content=content)
    return {(each["name"], each["version"]): each["state"] for each in response.json()}


async def compute(person: Person, x: float = 1.0, path: str = "affine") -> httpx2.Response:
    given = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [x, x, x]}
    return await person.request("POST", f"/v2/models/{path}/infer", json={"inputs": [given]})


async def slope(person: Person, path: str = "affine") -> float:
    found: float = (await compute(person, path=path)).json()["outputs"][0]["data"][0] - 1
    return found


def rewrite(settings: Settings, graph: onnx.ModelProto, version: str = "2", **changes: object) -> Path:
    """Replace the graph of a version, as a deployment does."""
    models = settings.models.folder
    shutil.rmtree(models / f"affine-{version}", ignore_errors=True)
    return register(models, "affine", graph, version, **changes)


async def test_a_new_version_is_served_without_a_restart(operator: Person, settings: Settings) -> None:
    rewrite(settings, affine(3.0), "3")
    assert (await index(operator))["affine", "3"] == "UNAVAILABLE"
    assert ("affine", "3") not in await index(operator, b'{"ready": true}')
    assert await slope(operator) == 2
    response = await change(operator, "load")
    assert (response.status_code, response.content) == (200, b"")
    assert [await slope(operator, path) for path in ("affine", "affine/versions/2")] == [3, 2]
    assert (await index(operator, b'{"ready": true}'))["affine", "3"] == "READY"


async def test_a_changed_version_takes_the_place_of_the_old_one_and_others_stay(
    operator: Person, services: Services, settings: Settings
) -> None:
    first = services.ports.models.served.find("affine", "1")
    rewrite(settings, affine(7.0))
    assert (await change(operator, "load")).status_code == 200
    assert [await slope(operator, f"affine/versions/{version}") for version in "12"] == [1, 7]
    assert services.ports.models.served.find("affine", "1") is first
    shutil.rmtree(settings.models.folder / "affine-2")
    assert (await change(operator, "load")).status_code == 200
    assert await slope(operator) == 1
    assert (await compute(operator, path="affine/versions/2")).status_code == 404


def break_checksum(settings: Settings) -> None:
    with (rewrite(settings, affine(9.0)) / "model.onnx").open("ab") as file:
        file.write(b"!")


def break_graph(settings: Settings) -> None:
    rewrite(settings, lookup(), warm_up={"index": [1, 2, 3]})


def break_manifest(settings: Settings) -> None:
    (rewrite(settings, affine(9.0)) / "model.json").write_text('{"name": "affine", "task": "tensors"}')


def cut_manifest_off(settings: Settings) -> None:
    manifest = settings.models.folder / "affine-2" / "model.json"
    manifest.write_text(manifest.read_text()[:-10])


def repeat_version(settings: Settings) -> None:
    shutil.copytree(settings.models.folder / "affine-2", settings.models.folder / "again")


def one_of_two(settings: Settings) -> None:
    rewrite(settings, affine(9.0), "1")
    rewrite(settings, lookup(), "3", warm_up={"index": [1, 2, 3]})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (break_checksum, "sha256"),
        (break_graph, "does not run"),
        (break_manifest, "not a valid manifest"),
        (cut_manifest_off, "not a valid manifest"),
        (repeat_version, "Two models are called"),
        (one_of_two, "does not run"),
    ],
)
async def test_what_cannot_be_served_changes_nothing_and_says_why(
    operator: Person, settings: Settings, spoil: Callable[[Settings], None], reason: str
) -> None:
    before = await index(operator, b'{"ready": true}')
    spoil(settings)
    response = await change(operator, "load")
    assert response.status_code == 409
    assert reason in response.json()["error"]
    assert await index(operator, b'{"ready": true}') == before
    assert [await slope(operator, f"affine/versions/{version}") for version in "12"] == [1, 2]
    rewrite(settings, affine(5.0))
    for folder in ("again", "affine-3"):
        shutil.rmtree(settings.models.folder / folder, ignore_errors=True)
    assert (await change(operator, "load")).status_code == 200
    assert await slope(operator) == 5


async def test_an_unloaded_model_is_gone_until_it_is_loaded(operator: Person) -> None:
    content = b'{"parameters": {"unload_dependents": false}}'
    assert (await change(operator, "unload", content=content)).status_code == 200
    assert (await compute(operator)).status_code == 404
    assert (await index(operator))["affine", "2"] == "UNAVAILABLE"
    assert (await change(operator, "unload")).status_code == 404
    ready = (await operator.client.get("/health/ready")).json()
    assert "affine" not in {each["name"] for each in ready["registered_models"]}
    assert (await change(operator, "load", content=b"{}")).status_code == 200
    assert await slope(operator) == 2


async def test_an_unload_waits_for_requests_that_hold_the_model(operator: Person, services: Services) -> None:
    served = services.ports.models.served
    with served.lease("affine") as model:
        unload = asyncio.create_task(change(operator, "unload"))
        async with asyncio.timeout(30):
            while served.versions("affine"):
                await asyncio.sleep(0.01)
        assert (await compute(operator)).status_code == 404
        model.batcher.ping()
        assert not unload.done()
    assert (await unload).status_code == 200


async def test_no_request_is_lost_while_a_model_is_loaded_again_and_again(operator: Person, settings: Settings) -> None:
    over = asyncio.Event()
    answers: set[tuple[int, float]] = set()

    async def call(x: float) -> None:
        while not over.is_set():
            response = await compute(operator, x)
            value = response.json()["outputs"][0]["data"][0] if response.status_code == 200 else 0
            answers.add((response.status_code, (value - 1) / x))

    async with asyncio.TaskGroup() as callers:
        for number in range(CALLERS):
            callers.create_task(call(2.0 ** (number % 8)))
        for reload in range(RELOADS):
            rewrite(settings, affine(10.0 + reload))
            assert (await change(operator, "load")).status_code == 200
            assert await slope(operator) == 10 + reload
        over.set()
    assert answers <= {(200, 2.0), *((200, 10.0 + reload) for reload in range(RELOADS))}
    assert len(answers) > RELOADS / 2


async def test_changes_at_the_same_time_take_turns(operator: Person, settings: Settings) -> None:
    rewrite(settings, affine(4.0))
    verbs = ["load", "unload", "load", "load", "unload", "load"]
    responses = await asyncio.gather(*(change(operator, verb) for verb in verbs))
    loads = [response.status_code for verb, response in zip(verbs, responses, strict=True) if verb == "load"]
    assert loads == [200] * 4
    assert (await change(operator, "load")).status_code == 200
    assert [await slope(operator, f"affine/versions/{version}") for version in "12"] == [1, 4]


async def test_what_the_service_needs_for_itself_stays(operator: Person, services: Services) -> None:
    for name in (services.ports.embedder.model.name, services.ports.detector.model.manifest.name):
        for verb in ("load", "unload"):
            response = await change(operator, verb, name)
            assert response.status_code in {404, 409}
    assert (await change(operator, "unload", services.ports.embedder.model.name)).status_code == 409
    assert services.ports.models.served.find(services.ports.embedder.model.name)


async def test_what_is_not_known_is_not_found(operator: Person, settings: Settings) -> None:
    for name in ("other", "..", "%2e%2e%2fmodels", "affine-2"):
        for verb in ("load", "unload"):
            assert (await change(operator, verb, name)).status_code == 404, name
    register(settings.models.folder, "../models/elsewhere", centred())
    assert (await change(operator, "load", "elsewhere")).status_code == 404


@pytest.mark.parametrize(
    "content",
    [b"[]", b"{", b'{"parameters": 1}', b'{"parameters": {"config": "{}"}}', b'{"parameters": {"file:1": ""}}'],
)
async def test_models_come_from_folders_alone(operator: Person, content: bytes) -> None:
    assert (await change(operator, "load", content=content)).status_code == 400
    assert await slope(operator) == 2


async def test_ordinary_keys_may_not_use_the_model_repository(client: httpx2.AsyncClient, services: Services) -> None:
    eve = await join(client, services, "eve@example.com", *ACCOUNT_SCOPES)
    for path in ("index", "models/affine/load", "models/affine/unload"):
        assert (await eve.request("POST", f"/v2/repository/{path}")).status_code == 403
        assert (await client.post(f"/v2/repository/{path}")).status_code == 401
    key = await eve.request("POST", "/v1/auth/keys", json={"name": "more", "scopes": ["models"]})
    assert key.status_code == 403


async def test_readiness_names_the_models_that_are_loaded(operator: Person, settings: Settings) -> None:
    rewrite(settings, affine(3.0), "3")
    await change(operator, "load")
    ready = (await operator.client.get("/health/ready")).json()
    loaded = {(each["name"], each["version"]): each["provider"] for each in ready["registered_models"]}
    assert {version for name, version in loaded if name == "affine"} == {"1", "2", "3"}
    assert all(provider.endswith("ExecutionProvider") for provider in loaded.values())
