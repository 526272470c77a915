"""Extraction batches: each text is settled independently and once, whatever happens to the job."""

import asyncio
import json
from typing import Any
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import inspect

from app.auth.caller import Scope
from app.bootstrap import Services
from app.extraction.repository import list_items
from app.jobs.models import JobState
from app.jobs.repository import requeue_expired
from app.settings import Settings
from tests.chat.fake_provider import Call, FakeProvider
from tests.extraction.invoices import turns
from tests.http import Person, join
from tests.jobs.rows import change_job, read_job
from tests.usage.rows import read_rows

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
TEXTS = [f"text {number}" for number in range(6)]


def text_of(call: Call) -> str:
    return turns(call)[1][1]


def number_of(call: Call) -> int:
    return int(text_of(call).removeprefix("text "))


def echo(call: Call) -> str:
    return json.dumps({"n": number_of(call)})


async def submit(person: Person, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    headers = changes.pop("headers", {})
    body = {"items": TEXTS, "schema": SCHEMA} | changes
    response = await person.request("POST", "/v1/extractions/batch", json=body, headers=headers)
    assert response.status_code == 202, response.text
    accepted: dict[str, Any] = response.json()
    return accepted


async def read(person: Person, accepted: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await person.request("GET", f"/v1/extractions/batch/{accepted['id']}")).json()
    return found


def states(batch: dict[str, Any]) -> list[str]:
    return [item["state"] for item in batch["items"]]


async def test_every_text_has_its_data_in_the_order_in_which_they_came(
    ada: Person, services: Services, provider: FakeProvider
) -> None:
    provider.answer = echo
    accepted = await submit(ada)
    before = await read(ada, accepted)
    assert (before["job"]["state"], set(states(before))) == ("queued", {"waiting"})
    await ada.run_jobs()
    after = await read(ada, accepted)
    assert (after["job"]["state"], after["job"]["progress"]) == ("succeeded", 1.0)
    assert [(item["index"], item["extraction"]["data"]["n"]) for item in after["items"]] == [(n, n) for n in range(6)]
    rows = await read_rows(services.ports.database)
    assert [row.endpoint for row in rows] == ["extractions"] * 6
    assert {row.key_id for row in rows} != {None}


async def test_listing_a_batchs_results_does_not_load_its_texts(
    ada: Person, services: Services, provider: FakeProvider
) -> None:
    provider.answer = echo
    batch_id = UUID((await submit(ada))["id"])
    async with services.ports.database.transaction() as session:
        items = await list_items(session, batch_id)
    assert [(item.position, inspect(item).unloaded) for item in items] == [(n, {"text"}) for n in range(6)]


async def test_a_text_that_fails_leaves_the_others_alone(ada: Person, provider: FakeProvider) -> None:
    odd: dict[int, str | int] = {1: "never right", 2: 400}
    provider.answer = lambda call: odd.get(number_of(call)) or echo(call)
    accepted = await submit(ada, max_attempts=2)
    await ada.run_jobs()
    items = (await read(ada, accepted))["items"]
    assert [item["state"] for item in items] == ["done", "failed", "failed", "done", "done", "done"]
    assert items[1]["error"]["code"] == "extraction_failed"
    assert items[1]["error"]["errors"][0]["location"] == "$"
    assert items[2]["error"]["code"] == "refused_by_model"


async def test_settled_texts_are_not_requested_again_when_the_job_retries(ada: Person, provider: FakeProvider) -> None:
    down = {3}
    provider.answer = lambda call: 503 if number_of(call) in down else echo(call)
    accepted = await submit(ada)
    await ada.run_jobs()
    halfway = await read(ada, accepted)
    assert (halfway["job"]["state"], states(halfway).count("done")) == ("queued", 5)
    assert halfway["items"][3]["state"] == "waiting"
    down.clear()
    await ada.run_jobs()
    assert set(states(await read(ada, accepted))) == {"done"}
    assert sorted(map(number_of, provider.calls)) == [0, 1, 2, 3, 3, 4, 5]


async def test_a_provider_that_is_down_is_asked_little_and_uses_up_no_try(ada: Person, provider: FakeProvider) -> None:
    provider.answer = lambda _: 503
    accepted = await submit(ada, items=[f"text {number}" for number in range(50)])
    await ada.run_jobs()
    assert len(provider.calls) < 10
    job = (await read(ada, accepted))["job"]
    assert (job["state"], job["attempt"], job["error"] is None) == ("queued", 0, False)


async def test_when_the_tries_are_used_up_the_rest_has_failed_and_the_data_stays(
    ada: Person, services: Services, provider: FakeProvider
) -> None:
    provider.answer = lambda call: 503 if number_of(call) == 3 else echo(call)
    accepted = await submit(ada)
    await change_job(services.ports.database, UUID(accepted["job"]["id"]), {"attempt": 4})
    for _ in range(2):
        await ada.run_jobs()
    batch = await read(ada, accepted)
    assert (batch["job"]["state"], states(batch)) == ("failed", ["done"] * 3 + ["failed"] + ["done"] * 2)
    assert batch["items"][3]["error"]["code"] == "job_failed"


@pytest.mark.parametrize("model", ["slow"])
async def test_so_many_texts_are_worked_on_together_and_no_more(
    ada: Person, provider: FakeProvider, settings: Settings
) -> None:
    provider.answer = echo
    accepted = await submit(ada)
    running = asyncio.create_task(ada.run_jobs())
    most = settings.extraction.batch_concurrency
    async with asyncio.timeout(30):
        while len(provider.calls) < most:
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.2)
    assert len(provider.calls) == most
    provider.go.set()
    await running
    assert set(states(await read(ada, accepted))) == {"done"}


@pytest.mark.parametrize("model", ["slow"])
async def test_a_job_whose_worker_died_goes_on_with_what_is_not_done(
    ada: Person, services: Services, provider: FakeProvider
) -> None:
    def hang_at_four(call: Call) -> str:
        if number_of(call) == 4:
            provider.go.clear()
        return echo(call)

    provider.answer, database = hang_at_four, services.ports.database
    provider.go.set()
    accepted = await submit(ada)
    job_id = UUID(accepted["job"]["id"])
    worker = asyncio.create_task(services.job_runner.run(job_id))
    async with asyncio.timeout(30):
        while 4 not in map(number_of, provider.calls):
            await asyncio.sleep(0.02)
    job = await read_job(database, job_id)
    # As after kill -9: the row says that a worker holds the job, but none does.
    worker.cancel()
    await asyncio.wait({worker})
    left = [number for number, state in enumerate(states(await read(ada, accepted))) if state != "done"]
    assert 4 in left
    assert len(left) < len(TEXTS)
    await change_job(database, job_id, {"state": JobState.RUNNING, "lease": job.lease, "attempt": 1})
    await change_job(database, job_id, {"lease_until": job.created_at})
    async with database.transaction() as session:
        assert await requeue_expired(session, 10) == [job_id]
    asked = len(provider.calls)
    provider.go.set()
    provider.answer = echo
    await asyncio.gather(*(services.job_runner.run(job_id) for _ in range(4)))
    assert set(states(await read(ada, accepted))) == {"done"}
    assert sorted(map(number_of, provider.calls[asked:])) == left


@pytest.mark.parametrize("model", ["slow"])
async def test_a_cancelled_batch_says_so_of_what_was_not_done(ada: Person, provider: FakeProvider) -> None:
    provider.answer = echo
    accepted = await submit(ada)
    await ada.request("POST", f"/v1/jobs/{accepted['job']['id']}/cancel")
    await ada.run_jobs()
    batch = await read(ada, accepted)
    assert (batch["job"]["state"], set(states(batch))) == ("cancelled", {"failed"})
    assert "cancelled" in batch["items"][0]["error"]["detail"]
    assert provider.calls == []


async def test_a_batch_of_somebody_else_does_not_exist(
    ada: Person, client: httpx2.AsyncClient, services: Services
) -> None:
    accepted = await submit(ada)
    eve = await join(client, services, "eve@example.com")
    assert (await eve.request("GET", f"/v1/extractions/batch/{accepted['id']}")).status_code == 404


async def test_a_repeated_key_gives_the_first_batch_and_another_owner_a_new_one(
    ada: Person, client: httpx2.AsyncClient, services: Services
) -> None:
    key = {"Idempotency-Key": "one"}
    first, again = [await submit(ada, headers=key) for _ in range(2)]
    assert again == first
    eve = await join(client, services, "eve@example.com")
    assert (await submit(eve, headers=key))["id"] != first["id"]
    assert (await submit(ada))["id"] != first["id"]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"items": []}, 422),
        ({"items": [""]}, 422),
        ({"items": ["x"] * 101}, 422),
        ({"items": ["x" * 100_001]}, 422),
        ({"items": ["NUL \x00"]}, 422),
        ({"schema": {"type": "array"}}, 422),
        ({"model": "none"}, 404),
        ({"max_attempts": 4}, 400),
    ],
)
async def test_what_cannot_be_worked_on_is_refused_at_the_door(
    ada: Person, changes: dict[str, Any], status: int
) -> None:
    body = {"items": TEXTS, "schema": SCHEMA} | changes
    assert (await ada.request("POST", "/v1/extractions/batch", json=body)).status_code == status
    assert (await ada.request("GET", "/v1/jobs")).json()["items"] == []


async def test_signs_that_databases_dislike_come_through(ada: Person, provider: FakeProvider) -> None:
    provider.answer = lambda _: json.dumps({"n": 1, "odd": "\x00 \U0001f600", "big": 2**80, "nested": [{"": None}]})
    accepted = await submit(ada, items=["text 1"])
    await ada.run_jobs()
    [item] = (await read(ada, accepted))["items"]
    assert item["extraction"]["data"] == {"n": 1, "odd": "\x00 \U0001f600", "big": 2**80, "nested": [{"": None}]}


async def test_batches_take_their_scope(client: httpx2.AsyncClient, services: Services) -> None:
    chatter = await join(client, services, "cy@example.com", Scope.CHAT)
    body = {"items": TEXTS, "schema": SCHEMA}
    assert (await chatter.request("POST", "/v1/extractions/batch", json=body)).status_code == 403
