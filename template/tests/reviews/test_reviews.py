"""Reviews: who may see a waiting item, who may decide on it, and what is released."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import func, update

from app.auth.caller import Scope
from app.bootstrap import Services
from app.reviews.models import Review
from tests.extraction.invoices import DATA
from tests.http import Person, join
from tests.reviews.conftest import WAITING

Put = Callable[..., Awaitable[UUID]]
Make = Callable[[str], Awaitable[Person]]


async def act(person: Person, review_id: UUID, action: str, **body: Any) -> httpx2.Response:  # noqa: ANN401 - JSON
    return await person.request("POST", f"/v1/reviews/{review_id}/{action}", json=body or None)


async def read(person: Person, review_id: UUID) -> dict[str, Any]:
    response = await person.request("GET", f"/v1/reviews/{review_id}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def listed(person: Person, **query: str) -> list[str]:
    return [item["id"] for item in (await person.request("GET", "/v1/reviews", params=query)).json()["items"]]


async def let_claim_run_out(services: Services, review_id: UUID) -> None:
    async with services.ports.database.transaction() as session:
        past = func.now() - timedelta(seconds=1)
        await session.execute(update(Review).where(Review.id == review_id).values(claimed_until=past))


async def test_an_approved_item_is_released_as_it_stands(ada: Person, rob: Person, put: Put) -> None:
    review_id = await put()
    claimed = (await act(rob, review_id, "claim")).json()
    assert (claimed["state"], claimed["version"], claimed["result"]) == ("claimed", 2, None)
    assert (await act(rob, review_id, "approve", version=2)).status_code == 200
    released = await read(ada, review_id)
    assert (released["state"], released["result"], released["version"]) == ("approved", WAITING, 3)
    assert released["decided_at"] is not None


async def test_a_correction_is_released_if_it_fits_the_schema(ada: Person, rob: Person, put: Put) -> None:
    review_id = await put()
    await act(rob, review_id, "claim")
    refused = await act(rob, review_id, "correct", version=2, result={"number": "x", "total": -1})
    assert refused.status_code == 422
    assert {error["location"] for error in refused.json()["errors"]} == {"$.number", "$.total"}
    assert (await read(ada, review_id))["state"] == "claimed"
    assert (await act(rob, review_id, "correct", version=2, result=DATA)).status_code == 200
    released = await read(ada, review_id)
    assert (released["state"], released["result"], released["output"]) == ("corrected", DATA, WAITING)


@pytest.mark.parametrize(
    "result",
    ["null", "[1]", '"text"', '{"number": "\\ud800", "total": 1}', '{"number": "2041", "total": NaN}'],
)
async def test_a_correction_that_is_no_object_in_json_is_refused(rob: Person, put: Put, result: str) -> None:
    review_id = await put()
    await act(rob, review_id, "claim")
    body = '{"version": 2, "result": ' + result + "}"
    headers = {"Content-Type": "application/json"}
    response = await rob.request("POST", f"/v1/reviews/{review_id}/correct", content=body, headers=headers)
    assert response.status_code == 422


async def test_words_that_are_no_data_cannot_be_approved(rob: Person, put: Put) -> None:
    review_id = await put("I am sorry.")
    await act(rob, review_id, "claim")
    assert (await act(rob, review_id, "approve", version=2)).status_code == 422
    assert (await act(rob, review_id, "correct", version=2, result=DATA)).status_code == 200


async def test_a_rejected_item_releases_nothing_and_says_why(ada: Person, rob: Person, put: Put) -> None:
    review_id = await put()
    await act(rob, review_id, "claim")
    assert (await act(rob, review_id, "reject", version=2, note="No invoice.")).status_code == 200
    item = await read(ada, review_id)
    assert (item["state"], item["result"], item["note"]) == ("rejected", None, "No invoice.")


async def test_of_many_who_claim_at_once_one_gets_the_item(services: Services, reviewer: Make, put: Put) -> None:
    review_id = await put()
    reviewers = [await reviewer(f"r{number}@example.com") for number in range(8)]
    answers = await asyncio.gather(*(act(each, review_id, "claim") for each in reviewers))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 7
    winner = next(each for each, answer in zip(reviewers, answers, strict=True) if answer.status_code == 200)
    holder = await services.auth.ensure_account(winner.email)
    item = await read(winner, review_id)
    assert (item["claimed_by"], item["version"]) == (str(holder.id), 2)


async def test_of_two_decisions_at_once_one_counts(rob: Person, put: Put) -> None:
    review_id = await put()
    await act(rob, review_id, "claim")
    decisions = [act(rob, review_id, "approve", version=2), act(rob, review_id, "reject", version=2)]
    assert sorted(answer.status_code for answer in await asyncio.gather(*decisions)) == [200, 409]


async def test_who_has_not_claimed_cannot_decide(reviewer: Make, rob: Person, put: Put) -> None:
    review_id = await put()
    assert (await act(rob, review_id, "approve", version=1)).status_code == 409
    await act(rob, review_id, "claim")
    eve = await reviewer("eve@example.com")
    for action, body in (("approve", {}), ("reject", {}), ("correct", {"result": DATA})):
        assert (await act(eve, review_id, action, version=2, **body)).status_code == 409


async def test_a_claim_that_ran_out_can_be_taken_over_and_the_first_comes_too_late(
    services: Services, reviewer: Make, rob: Person, put: Put
) -> None:
    review_id = await put()
    await act(rob, review_id, "claim")
    eve = await reviewer("eve@example.com")
    assert (await act(eve, review_id, "claim")).status_code == 409
    assert await listed(rob, state="open") == []
    await let_claim_run_out(services, review_id)
    assert await listed(rob, state="open") == [str(review_id)]
    assert (await act(eve, review_id, "claim")).status_code == 200
    assert (await act(rob, review_id, "approve", version=2)).status_code == 409
    assert (await act(eve, review_id, "approve", version=3)).status_code == 200


async def test_claiming_again_keeps_the_item_and_makes_older_readings_stale(rob: Person, put: Put) -> None:
    review_id = await put()
    first = (await act(rob, review_id, "claim")).json()
    again = (await act(rob, review_id, "claim")).json()
    assert again["claimed_until"] > first["claimed_until"]
    assert (await act(rob, review_id, "approve", version=first["version"])).status_code == 409
    assert (await act(rob, review_id, "approve", version=again["version"])).status_code == 200


async def test_what_is_decided_stays_decided(rob: Person, put: Put) -> None:
    review_id = await put()
    await act(rob, review_id, "claim")
    await act(rob, review_id, "reject", version=2)
    assert (await act(rob, review_id, "claim")).status_code == 409
    assert (await act(rob, review_id, "approve", version=3)).status_code == 409


async def test_owners_read_their_own_items_and_decide_nothing(
    client: httpx2.AsyncClient, services: Services, ada: Person, rob: Person, put: Put
) -> None:
    review_id = await put()
    eve = await join(client, services, "eve@example.com")
    assert await listed(ada) == await listed(rob) == [str(review_id)]
    assert await listed(eve) == []
    assert (await eve.request("GET", f"/v1/reviews/{review_id}")).status_code == 404
    assert (await act(rob, uuid4(), "claim")).status_code == 404
    for action, body in (("claim", {}), ("approve", {"version": 1}), ("reject", {"version": 1})):
        assert (await act(ada, review_id, action, **body)).status_code == 403


async def test_nobody_gives_himself_the_right_to_decide(ada: Person) -> None:
    body = {"name": "mine", "scopes": [Scope.REVIEWS_DECIDE]}
    assert (await ada.request("POST", "/v1/auth/keys", json=body)).status_code == 403


async def test_reading_takes_a_scope(client: httpx2.AsyncClient, services: Services) -> None:
    chatter = await join(client, services, "cy@example.com", Scope.CHAT)
    assert (await chatter.request("GET", "/v1/reviews")).status_code == 403


async def test_the_list_goes_page_by_page_and_leaves_out_what_is_in_the_items(
    ada: Person, rob: Person, put: Put
) -> None:
    made = [str(await put()) for _ in range(3)]
    await act(rob, UUID(made[0]), "claim")
    first = (await ada.request("GET", "/v1/reviews", params={"limit": "2"})).json()
    assert "given" not in first["items"][0]
    rest = (await ada.request("GET", "/v1/reviews", params={"cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in first["items"] + rest["items"]] == made[::-1]
    assert await listed(rob, state="claimed") == [made[0]]
    assert await listed(rob, state="open") == [made[2], made[1]]
    assert (await rob.request("GET", "/v1/reviews", params={"state": "lost"})).status_code == 422


@pytest.mark.parametrize("body", [{}, {"version": None}, {"version": 0}, {"version": 2**31}, {"version": 1, "why": ""}])
async def test_a_decision_names_the_version_that_was_read(rob: Person, put: Put, body: dict[str, Any]) -> None:
    review_id = await put()
    response = await rob.request("POST", f"/v1/reviews/{review_id}/approve", json=body)
    assert response.status_code == 422
