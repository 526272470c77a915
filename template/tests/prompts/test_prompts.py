"""Stored prompts over HTTP: operators write and activate versions; callers read them."""

import asyncio
from typing import Any

import httpx2
import pytest

from app.auth.caller import Scope
from app.bootstrap import Services
from tests.http import Person, join

PATH = "/v1/prompts"


@pytest.fixture
async def operator(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "op@example.com", *Scope)


@pytest.fixture
async def chatter(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "cy@example.com", Scope.CHAT)


async def write(person: Person, text: str = "Be brief.", key: str | None = None, **body: object) -> dict[str, Any]:
    headers = {"Idempotency-Key": key} if key else {}
    response = await person.request("POST", PATH, json={"name": "support", "text": text} | body, headers=headers)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


async def switch(person: Person, version: int, how: str = "activate", name: str = "support") -> httpx2.Response:
    return await person.request("POST", f"{PATH}/{name}/versions/{version}/{how}")


async def states(person: Person) -> dict[int, str]:
    items = (await person.request("GET", PATH, params={"name": "support"})).json()["items"]
    return {item["version"]: item["state"] for item in items}


async def test_versions_count_from_one_for_each_name_and_begin_as_drafts(operator: Person) -> None:
    first = await write(operator, "Work for {company}.", variables=["company"])
    second = await write(operator)
    other = await write(operator, name="other")
    assert (first["version"], second["version"], other["version"]) == (1, 2, 1)
    assert (first["state"], first["variables"], first["text"]) == ("draft", ["company"], "Work for {company}.")
    assert (await operator.request("GET", f"{PATH}/support/versions/1")).json() == first


async def test_one_version_is_active_and_an_older_one_is_a_way_back(operator: Person) -> None:
    for _ in range(3):
        await write(operator)
    assert (await switch(operator, 1)).json()["state"] == "active"
    await switch(operator, 2)
    assert await states(operator) == {1: "retired", 2: "active", 3: "draft"}
    await switch(operator, 1)
    await switch(operator, 1)
    assert await states(operator) == {1: "active", 2: "retired", 3: "draft"}
    await switch(operator, 1, "retire")
    assert await states(operator) == {1: "retired", 2: "retired", 3: "draft"}


async def test_writers_at_the_same_time_get_versions_of_their_own_and_leave_one_active(operator: Person) -> None:
    written = await asyncio.gather(*(write(operator) for _ in range(8)))
    assert sorted(each["version"] for each in written) == list(range(1, 9))
    switched = await asyncio.gather(*(switch(operator, version) for version in range(1, 9)))
    assert {response.status_code for response in switched} == {200}
    assert sorted((await states(operator)).values()) == ["active", *["retired"] * 7]


async def test_versions_are_listed_page_by_page_newest_first(operator: Person, chatter: Person) -> None:
    for name in ("one", "support", "support"):
        await write(operator, name=name)
    first = (await chatter.request("GET", PATH, params={"limit": 2})).json()
    rest = (await chatter.request("GET", PATH, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [(each["name"], each["version"]) for each in first["items"] + rest["items"]] == [
        ("support", 2),
        ("support", 1),
        ("one", 1),
    ]
    assert rest["next_cursor"] is None


async def test_a_repeated_key_returns_the_first_version(operator: Person) -> None:
    repeated = await asyncio.gather(*(write(operator, key="k1") for _ in range(4)))
    assert [each["id"] for each in repeated] == [repeated[0]["id"]] * 4
    assert (await write(operator, "Something else.", key="k1")) == repeated[0]


async def test_only_operators_write(operator: Person, chatter: Person) -> None:
    await write(operator)
    assert (await chatter.request("GET", f"{PATH}/support/versions/1")).status_code == 200
    assert (await chatter.request("POST", PATH, json={"name": "mine", "text": "Hi."})).status_code == 403
    assert [(await switch(chatter, 1, how)).status_code for how in ("activate", "retire")] == [403, 403]


async def test_somebody_who_signs_in_is_no_operator(client: httpx2.AsyncClient) -> None:
    account = {"email": "ada@example.com", "password": "correct horse battery"}
    assert (await client.post("/v1/auth/register", json=account)).status_code == 201
    form = {"username": account["email"], "password": account["password"]}
    token = (await client.post("/v1/auth/token", data=form)).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert (await client.get(PATH, headers=headers)).status_code == 200
    refused = await client.post(PATH, json={"name": "mine", "text": "Hi."}, headers=headers)
    assert refused.status_code == 403
    key = {"name": "strong", "scopes": ["prompts:write"]}
    assert (await client.post("/v1/auth/keys", json=key, headers=headers)).status_code == 403


async def test_readers_need_a_scope(client: httpx2.AsyncClient, services: Services) -> None:
    searcher = await join(client, services, "sy@example.com", Scope.SEARCH)
    for path in (PATH, f"{PATH}/support/versions/1"):
        assert (await searcher.request("GET", path)).status_code == 403


async def test_what_is_not_there_is_not_found(operator: Person) -> None:
    assert (await operator.request("GET", f"{PATH}/none/versions/1")).status_code == 404
    assert [(await switch(operator, 1, how)).status_code for how in ("activate", "retire")] == [404, 404]
    for version in ("0", "99999999999", "x"):
        assert (await operator.request("GET", f"{PATH}/support/versions/{version}")).status_code == 422


async def test_the_prompt_of_answers_takes_no_variables(operator: Person) -> None:
    await write(operator, "For {company}.", name="answers", variables=["company"])
    assert (await switch(operator, 1, name="answers")).status_code == 409
    await write(operator, name="answers")
    assert (await switch(operator, 2, name="answers")).status_code == 200


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"name": "Up"}, "name"),
        ({"text": " "}, "text"),
        ({"text": "x" * 16_001}, "text"),
        ({"text": "a\0b"}, "NUL"),
        ({"text": "{who}"}, "who"),
        ({"variables": ["unused"]}, "unused"),
        ({"variables": ["a.b"]}, "variables"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_prompts_that_make_no_sense_are_refused_by_name(
    operator: Person, change: dict[str, object], named: str
) -> None:
    response = await operator.request("POST", PATH, json={"name": "support", "text": "Be brief."} | change)
    assert response.status_code == 422
    assert named in response.text
