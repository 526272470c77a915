"""Tests of stored predictions: recording, listing and deletion."""

import hashlib
import json
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import delete

from app.auth.caller import Scope
from app.auth.models import Account
from app.bootstrap import Services
from app.database import Database
from app.inference.model_folders import ModelsSettings
from app.predictions.settings import PredictionsSettings
from app.settings import Settings
from tests.http import Person, join
from tests.inference.tensor_graphs import affine, register
from tests.predictions.rows import add_prediction, read_predictions, wait_for_predictions
from tests.vision.drawings import base64, encode, shapes

PATH = "/v1/predictions"
X = {"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [1, 2, 3]}


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    models = tmp_path / "models"
    register(models, "affine", affine())
    changes = {"models": ModelsSettings(folder=models), "predictions": PredictionsSettings(keep=True)}
    return settings.model_copy(update=changes)


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def kept(person: Person, count: int) -> list[dict[str, object]]:
    """Wait until this many are stored and return them as their owner sees them."""
    await wait_for_predictions(person.services.ports.database, count)
    items: list[dict[str, object]] = (await person.request("GET", PATH, params={"limit": 100})).json()["items"]
    return items


async def test_scores_of_texts_are_kept_and_not_the_texts(ada: Person) -> None:
    body = {"input": ["a goal", "a soup"], "labels": ["football", "cooking"]}
    answer = (await ada.request("POST", "/v1/classifications", json=body)).json()
    items = await kept(ada, 2)
    assert {item["input_sha256"] for item in items} == {sha256(b"a goal"), sha256(b"a soup")}
    assert {(item["endpoint"], item["model"], item["version"]) for item in items} == {
        ("classifications", answer["model"], answer["version"])
    }
    [goal] = [item for item in items if item["input_sha256"] == sha256(b"a goal")]
    told = {each["label"]: each["score"] for each in answer["results"][0]["labels"]}
    assert goal["outputs"] == {"scores": pytest.approx(told, abs=1e-4)}
    assert set(goal) == {"id", "endpoint", "model", "version", "input_sha256", "outputs", "created_at"}


async def test_detections_are_kept_for_pictures_that_could_be_read(ada: Person) -> None:
    picture = encode(shapes().image)
    images = [base64(picture), base64(b"no picture")]
    answer = (await ada.request("POST", "/v1/detections/batch", json={"images": images})).json()
    one = (await ada.request("POST", "/v1/detections", files={"image": ("x.png", picture)})).json()
    items = await kept(ada, 2)
    assert {item["input_sha256"] for item in items} == {sha256(picture)}
    assert {(item["endpoint"], f"{item['model']}@{item['version']}") for item in items} == {
        ("detections", one["model_version"])
    }
    assert items[0]["outputs"] == {"detections": one["detections"]}
    assert items[1]["outputs"] == {"detections": answer["results"][0]["detections"]}


async def test_tensors_are_kept_by_the_checksum_of_the_body(ada: Person) -> None:
    body = json.dumps({"inputs": [X]}).encode()
    await ada.request("POST", "/v2/models/affine/infer", content=body, headers={"Content-Type": "application/json"})
    [item] = await kept(ada, 1)
    assert (item["endpoint"], item["model"], item["version"]) == ("inference", "affine", "1")
    assert item["input_sha256"] == sha256(body)
    assert item["outputs"] == {"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 3], "data": [3, 5, 7]}]}


async def test_large_tensors_are_kept_by_their_shapes(ada: Person) -> None:
    for rows in (64, 2000):
        given = X | {"shape": [rows, 3], "data": [0.5] * 3 * rows}
        answer = await ada.request("POST", "/v2/models/affine/infer", json={"inputs": [given]})
        assert answer.status_code == 200, answer.text
    newest, oldest = await kept(ada, 2)
    assert "data" in str(oldest["outputs"])
    assert newest["outputs"] == {"outputs": [{"name": "y", "datatype": "FP32", "shape": [2000, 3]}]}


async def test_vectors_are_not_kept(ada: Person) -> None:
    length = 0
    for given in (["a text"], [[101, 102]]):
        answer = await ada.request("POST", "/v1/embeddings", json={"model": "static-minilm", "input": given})
        length = len(answer.json()["data"][0]["embedding"])
    items = await kept(ada, 2)
    assert [item["input_sha256"] for item in items] == [sha256(b"[101,102]"), sha256(b"a text")]
    assert [item["outputs"] for item in items] == [{"shape": [length]}] * 2


async def test_what_is_refused_is_not_kept(ada: Person) -> None:
    assert (await ada.request("POST", "/v1/classifications", json={"input": "a"})).status_code == 422
    assert (await ada.request("POST", "/v1/detections", json={"image": "AAAA"})).status_code == 415
    await ada.request("POST", "/v1/embeddings", json={"model": "static-minilm", "input": "kept"})
    assert [item["endpoint"] for item in await kept(ada, 1)] == ["embeddings"]


async def test_callers_see_their_own_alone_page_by_page(
    ada: Person, client: httpx2.AsyncClient, services: Services, database: Database
) -> None:
    eve = await join(client, services, "eve@example.com")
    owner = await services.auth.ensure_account("ada@example.com")
    for days in range(5):
        await add_prediction(database, owner.id, days)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await ada.request("GET", PATH, params=query)).json()
        seen += [item["created_at"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert (len(seen), seen) == (5, sorted(seen, reverse=True))
    assert (await eve.request("GET", PATH)).json() == {"items": [], "next_cursor": None}


async def test_the_list_takes_its_scope_and_a_cursor_of_its_own(
    ada: Person, client: httpx2.AsyncClient, services: Services
) -> None:
    chatter = await join(client, services, "cy@example.com", Scope.CHAT)
    assert (await chatter.request("GET", PATH)).status_code == 403
    assert (await client.get(PATH)).status_code == 401
    assert (await ada.request("GET", PATH, params={"cursor": "made up"})).status_code == 422


async def test_predictions_go_with_their_account(database: Database, account_id: UUID) -> None:
    await add_prediction(database, account_id)
    async with database.transaction() as session:
        await session.execute(delete(Account).where(Account.id == account_id))
    assert await read_predictions(database) == []
