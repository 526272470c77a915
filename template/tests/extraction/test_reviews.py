"""Extractions that go to a reviewer if the model never gets them right."""

import json

import httpx2
import pytest

from app.auth.caller import REVIEWER_SCOPES
from app.bootstrap import Services
from tests.chat.fake_provider import FakeProvider
from tests.extraction.invoices import BODY, DATA, RIGHT, SCHEMA, TEXT, WRONG, in_turn
from tests.http import Person, join


@pytest.fixture
async def rob(client: httpx2.AsyncClient, services: Services) -> Person:
    """A reviewer."""
    return await join(client, services, "rob@example.com", *REVIEWER_SCOPES)


async def release(reviewer: Person, review_id: str) -> None:
    path = f"/v1/reviews/{review_id}"
    version = (await reviewer.request("POST", f"{path}/claim")).json()["version"]
    corrected = await reviewer.request("POST", f"{path}/correct", json={"version": version, "result": DATA})
    assert corrected.status_code == 200, corrected.text


@pytest.mark.parametrize(
    ("answer", "output"), [(WRONG, json.loads(WRONG)), ("I am sorry.", "I am sorry."), ('{"\\u0000": 1}', {"\x00": 1})]
)
async def test_what_never_fits_waits_for_a_reviewer_whose_correction_the_owner_reads(
    ada: Person, rob: Person, provider: FakeProvider, answer: str, output: object
) -> None:
    provider.answer = lambda _: answer
    response = await ada.request("POST", "/v1/extractions", json=BODY | {"on_failure": "review"})
    item = response.json()
    assert (response.status_code, item["state"], item["output"]) == (202, "open", output)
    assert item["given"] == {"text": TEXT, "schema": SCHEMA, "instructions": None}
    assert "3 times" in item["reason"]
    await release(rob, item["id"])
    assert (await ada.request("GET", f"/v1/reviews/{item['id']}")).json()["result"] == DATA


async def test_what_fits_needs_no_reviewer(ada: Person, provider: FakeProvider) -> None:
    provider.answer = in_turn(WRONG, RIGHT)
    response = await ada.request("POST", "/v1/extractions", json=BODY | {"on_failure": "review"})
    assert (response.status_code, response.json()["data"]) == (200, DATA)
    assert (await ada.request("GET", "/v1/reviews")).json()["items"] == []


async def test_a_text_of_a_batch_that_never_fits_points_at_its_review(
    ada: Person, rob: Person, provider: FakeProvider
) -> None:
    provider.answer = lambda call: RIGHT if "good" in call.body["messages"][1]["content"] else WRONG
    body = {"items": ["good", "bad"], "schema": SCHEMA, "max_attempts": 1, "on_failure": "review"}
    batch_id = (await ada.request("POST", "/v1/extractions/batch", json=body)).json()["id"]
    await ada.run_jobs()
    good, bad = (await ada.request("GET", f"/v1/extractions/batch/{batch_id}")).json()["items"]
    assert (good["state"], good["review_id"], bad["state"], bad["error"]) == ("done", None, "in_review", None)
    await release(rob, bad["review_id"])
    assert (await ada.request("GET", f"/v1/reviews/{bad['review_id']}")).json()["result"] == DATA


async def test_a_model_that_is_down_is_no_matter_for_reviewers(ada: Person, provider: FakeProvider) -> None:
    provider.answer = lambda _: 503
    response = await ada.request("POST", "/v1/extractions", json=BODY | {"on_failure": "review"})
    assert response.status_code == 503
    assert (await ada.request("GET", "/v1/reviews")).json()["items"] == []
