"""Conversations over HTTP: creating, listing, changing and deleting them, each visible only to its owner."""

from typing import Any

import httpx2
import pytest

from app.auth.caller import Scope
from app.bootstrap import Services
from tests.http import Person, join

PATH = "/v1/conversations"
NOBODYS = f"{PATH}/00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


async def begin(person: Person, key: str | None = None, **body: object) -> dict[str, Any]:
    headers = {"Idempotency-Key": key} if key else {}
    response = await person.request("POST", PATH, json=body, headers=headers)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()
    return created


async def test_a_conversation_is_what_it_was_begun_with(ada: Person) -> None:
    created = await begin(ada, title=" Warranty ", system="Be brief.", model="offline:extractive")
    assert (created["title"], created["system"], created["model"]) == ("Warranty", "Be brief.", "offline:extractive")
    plain = await begin(ada)
    assert (plain["title"], plain["system"], plain["model"]) == (None, None, "default")
    assert (await ada.request("GET", f"{PATH}/{created['id']}")).json() == created


async def test_conversations_are_listed_page_by_page_newest_first(ada: Person) -> None:
    names = [(await begin(ada, title=name))["title"] for name in ("one", "two", "three")]
    first = (await ada.request("GET", PATH, params={"limit": 2})).json()
    rest = (await ada.request("GET", PATH, params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [each["title"] for each in first["items"] + rest["items"]] == names[::-1]
    assert rest["next_cursor"] is None


async def test_null_takes_the_title_away_and_leaving_it_out_leaves_it(ada: Person) -> None:
    path = f"{PATH}/{(await begin(ada, title='Old'))['id']}"
    assert (await ada.request("PATCH", path, json={"title": "New"})).json()["title"] == "New"
    assert (await ada.request("PATCH", path, json={})).json()["title"] == "New"
    assert (await ada.request("PATCH", path, json={"title": None})).json()["title"] is None
    assert (await ada.request("GET", path)).json()["title"] is None


async def test_a_deleted_conversation_is_gone_with_its_messages(ada: Person) -> None:
    path = f"{PATH}/{(await begin(ada))['id']}"
    assert (await ada.request("POST", f"{path}/messages", json={"content": "Hello."})).status_code == 200
    assert (await ada.request("DELETE", path)).status_code == 204
    for method, where in [("DELETE", path), ("GET", path), ("GET", f"{path}/messages")]:
        assert (await ada.request(method, where)).status_code == 404


async def test_anothers_conversation_does_not_exist(
    ada: Person, client: httpx2.AsyncClient, services: Services
) -> None:
    path = f"{PATH}/{(await begin(ada))['id']}"
    answer = (await ada.request("POST", f"{path}/messages", json={"content": "Hello."})).json()
    eve = await join(client, services, "eve@example.com")
    assert (await eve.request("GET", PATH)).json()["items"] == []
    for method, where, body in [
        ("GET", "", None),
        ("PATCH", "", {"title": "Mine"}),
        ("PATCH", "", {}),
        ("GET", "/messages", None),
        ("POST", "/messages", {"content": "Hello."}),
        ("GET", f"/messages/{answer['id']}/events", None),
        ("DELETE", "", None),
    ]:
        responses = [await eve.request(method, f"{each}{where}", json=body) for each in (path, NOBODYS)]
        assert [response.status_code for response in responses] == [404, 404], where
        assert responses[0].json()["detail"] == responses[1].json()["detail"]
    # Nor is an answer of one conversation found in another.
    own = await begin(eve)
    assert (await eve.request("GET", f"{PATH}/{own['id']}/messages/{answer['id']}/events")).status_code == 404


async def test_a_repeated_key_returns_the_first_conversation_of_its_owner(
    ada: Person, client: httpx2.AsyncClient, services: Services
) -> None:
    first = await begin(ada, "k1", title="One")
    assert await begin(ada, "k1", title="Two") == first
    eve = await join(client, services, "eve@example.com")
    assert (await begin(eve, "k1"))["id"] != first["id"]


async def test_conversations_take_the_scope_chat(client: httpx2.AsyncClient, services: Services) -> None:
    reader = await join(client, services, "cy@example.com", Scope.ANSWERS)
    for method, path, body in [
        ("POST", PATH, {}),
        ("GET", PATH, None),
        ("GET", NOBODYS, None),
        ("PATCH", NOBODYS, {"title": None}),
        ("DELETE", NOBODYS, None),
        ("GET", f"{NOBODYS}/messages", None),
        ("POST", f"{NOBODYS}/messages", {"content": "Hello."}),
    ]:
        assert (await reader.request(method, path, json=body)).status_code == 403, path


@pytest.mark.parametrize(
    "body",
    [
        {"title": ""},
        {"title": "x" * 201},
        {"title": "a\0b"},
        {"system": " "},
        {"system": "x" * 16_001},
        {"surprise": 1},
    ],
)
async def test_conversations_that_make_no_sense_are_refused(ada: Person, body: dict[str, object]) -> None:
    assert (await ada.request("POST", PATH, json=body)).status_code == 422


async def test_a_model_that_nobody_knows_is_refused_at_once(ada: Person) -> None:
    response = await ada.request("POST", PATH, json={"model": "none"})
    assert (response.status_code, response.json()["code"]) == (404, "model_not_found")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"content": ""},
        {"content": "\n"},
        {"content": "x" * 32_001},
        {"content": "a\0b"},
        {"content": "Hello.", "max_tokens": 0},
        {"content": "Hello.", "temperature": 3},
        {"content": "Hello.", "surprise": 1},
    ],
)
async def test_messages_that_make_no_sense_are_refused_and_leave_nothing(ada: Person, body: dict[str, object]) -> None:
    path = f"{PATH}/{(await begin(ada))['id']}/messages"
    assert (await ada.request("POST", path, json=body)).status_code == 422
    assert (await ada.request("GET", path)).json()["items"] == []
    assert (await ada.request("POST", path, json={"content": "Hello."})).status_code == 200
