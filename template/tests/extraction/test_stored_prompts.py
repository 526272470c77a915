"""Extractions with stored prompts: the version that is active when the request arrives is used throughout."""

from typing import Any

import httpx2
import pytest
from sqlalchemy import text

from app.auth.caller import Scope
from app.bootstrap import Services
from tests.chat.fake_provider import FakeProvider
from tests.extraction.invoices import BODY, DATA, RIGHT, SCHEMA, TEXT, WRONG, in_turn, turns
from tests.http import Person, join
from tests.usage.rows import read_rows

EUROS = {"name": "totals", "variables": {"currency": "euros"}}
BATCH = {"items": [TEXT, "another"], "schema": SCHEMA}
PATHS = {"/v1/extractions": BODY, "/v1/extractions/batch": BATCH}


@pytest.fixture
async def operator(client: httpx2.AsyncClient, services: Services) -> Person:
    """An operator who has written three versions of a prompt and activated the first."""
    person = await join(client, services, "op@example.com", *Scope)
    for body in ("Totals are in {currency}.", "Totals are in cents of {currency}.", "A draft for {currency}."):
        draft = {"name": "totals", "text": body, "variables": ["currency"]}
        assert (await person.request("POST", "/v1/prompts", json=draft)).status_code == 201
    for version in (2, 1):
        await activate(person, version)
    return person


async def activate(operator: Person, version: int) -> None:
    assert (await operator.request("POST", f"/v1/prompts/totals/versions/{version}/activate")).status_code == 200


async def extract(person: Person, **prompt: object) -> dict[str, Any]:
    response = await person.request("POST", "/v1/extractions", json=BODY | {"prompt": EUROS | prompt})
    assert response.status_code == 200, response.text
    read: dict[str, Any] = response.json()
    return read


async def submit(person: Person, **changes: object) -> str:
    response = await person.request("POST", "/v1/extractions/batch", json=BATCH | changes)
    assert response.status_code == 202, response.text
    return f"/v1/extractions/batch/{response.json()['id']}"


async def recorded(services: Services) -> list[tuple[str | None, int | None]]:
    return [(row.prompt_name, row.prompt_version) for row in await read_rows(services.ports.database)]


async def test_the_active_version_stands_in_place_of_instructions_and_every_attempt_is_recorded_with_it(
    ada: Person, operator: Person, services: Services, provider: FakeProvider
) -> None:
    provider.answer = in_turn(WRONG, RIGHT, RIGHT, RIGHT, RIGHT)
    read = await extract(ada)
    assert (read["data"], read["prompt_name"], read["prompt_version"]) == (DATA, "totals", 1)
    await activate(operator, 2)
    versions = [(await extract(ada, **prompt))["prompt_version"] for prompt in ({}, {"version": 1})]
    await activate(operator, 1)
    versions.append((await extract(ada))["prompt_version"])
    assert versions == [2, 1, 1]
    told = ["cents" if "Totals are in cents of euros." in turns(call)[0][1] else "euros" for call in provider.calls]
    assert told == ["euros", "euros", "cents", "euros", "euros"]
    assert await recorded(services) == [("totals", version) for version in (1, 1, 2, 1, 1)]


async def test_a_job_keeps_the_version_that_was_active_when_its_batch_came(
    ada: Person, operator: Person, services: Services, provider: FakeProvider
) -> None:
    provider.answer = lambda _: RIGHT
    path = await submit(ada, prompt=EUROS)
    await activate(operator, 2)
    await ada.run_jobs()
    items = (await ada.request("GET", path)).json()["items"]
    assert [(item["extraction"]["prompt_name"], item["extraction"]["prompt_version"]) for item in items] == [
        ("totals", 1)
    ] * 2
    assert all("Totals are in euros." in turns(call)[0][1] for call in provider.calls)
    assert await recorded(services) == [("totals", 1)] * 2


async def test_a_batch_of_a_release_that_knew_no_prompts_is_worked_on_and_read(
    ada: Person, services: Services, provider: FakeProvider
) -> None:
    provider.answer = lambda _: RIGHT
    path = await submit(ada, instructions="Totals are in euros.")
    async with services.ports.database.transaction() as session:
        await session.execute(text("UPDATE extraction_batches SET wish = CAST(CAST(wish AS jsonb) - 'prompt' AS json)"))
    await ada.run_jobs()
    async with services.ports.database.transaction() as session:
        without = "CAST(CAST(result AS jsonb) - 'prompt_name' - 'prompt_version' AS json)"
        await session.execute(text(f"UPDATE extraction_items SET result = {without}"))  # noqa: S608 - our own words
    items = (await ada.request("GET", path)).json()["items"]
    assert [(item["extraction"]["data"], item["extraction"]["prompt_name"]) for item in items] == [(DATA, None)] * 2
    assert all("Totals are in euros." in turns(call)[0][1] for call in provider.calls)


@pytest.mark.usefixtures("operator")
async def test_a_reviewer_reads_what_the_model_was_told(ada: Person, provider: FakeProvider) -> None:
    provider.answer = lambda _: WRONG
    body = BODY | {"prompt": EUROS, "on_failure": "review"}
    item = (await ada.request("POST", "/v1/extractions", json=body)).json()
    assert item["given"]["instructions"] == "Totals are in euros."


@pytest.mark.usefixtures("operator")
@pytest.mark.parametrize(
    ("changes", "status", "named"),
    [
        ({"prompt": EUROS | {"name": "none"}}, 404, "not_found"),
        ({"prompt": EUROS | {"version": 9}}, 404, "not_found"),
        ({"prompt": EUROS | {"version": 3}}, 409, "draft"),
        ({"prompt": {"name": "totals"}}, 422, "currency"),
        ({"prompt": EUROS | {"variables": {"currency": "euros", "town": "Oslo"}}}, 422, "town"),
        ({"prompt": EUROS, "instructions": "Totals are in euros."}, 422, "either instructions or prompt"),
    ],
)
async def test_a_prompt_that_cannot_be_used_is_refused_at_the_door(
    ada: Person, provider: FakeProvider, changes: dict[str, object], status: int, named: str
) -> None:
    for path, body in PATHS.items():
        response = await ada.request("POST", path, json=body | changes)
        assert response.status_code == status
        assert named in response.text
    assert (await ada.request("GET", "/v1/jobs")).json()["items"] == []
    assert provider.calls == []
