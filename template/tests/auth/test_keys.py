"""Tests of API keys over HTTP."""

from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from sqlalchemy import text

from app.auth.caller import ACCOUNT_SCOPES, OPERATOR_SCOPES, Scope
from app.bootstrap import Services
from app.database import Database
from tests.http import join


async def test_a_key_is_shown_once_and_stored_as_a_digest(
    client: httpx2.AsyncClient, services: Services, database: Database
) -> None:
    ada = await join(client, services, "ada@example.com")
    created = (await ada.request("POST", "/v1/auth/keys", json={"name": "import", "scopes": ["search"]})).json()
    assert created["secret"].startswith(created["prefix"])
    listed = (await ada.request("GET", "/v1/auth/keys")).json()["items"]
    assert [key["name"] for key in listed] == ["import", "test"]
    assert all("secret" not in key for key in listed)
    async with database.transaction() as session:
        stored = (await session.execute(text("SELECT api_keys::text FROM api_keys"))).scalars().all()
    assert not any(created["secret"] in row for row in stored)


async def test_a_key_does_what_its_scopes_say_and_no_more(client: httpx2.AsyncClient, services: Services) -> None:
    reader = await join(client, services, "ada@example.com", Scope.DOCUMENTS_READ)
    assert (await reader.request("GET", "/v1/documents")).status_code == 200
    for method, path, body in [
        ("POST", "/v1/search", {"query": "x"}),
        ("POST", "/v1/answers", {"question": "x"}),
        ("POST", "/v1/auth/keys", {"name": "more", "scopes": ["search"]}),
    ]:
        response = await reader.request(method, path, json=body)
        assert (response.status_code, response.json()["code"]) == (403, "forbidden"), path
    refused = await reader.request("POST", "/v1/embeddings", json={"input": "x", "model": "static-minilm"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
    assert (await reader.upload("a.txt", b"text")).status_code == 403


async def test_a_key_cannot_make_a_stronger_key(client: httpx2.AsyncClient, services: Services) -> None:
    weak = await join(client, services, "ada@example.com", Scope.ACCOUNT)
    response = await weak.request("POST", "/v1/auth/keys", json={"name": "strong", "scopes": ["answers"]})
    assert response.status_code == 403


@pytest.mark.parametrize("scope", sorted(OPERATOR_SCOPES))
async def test_no_key_is_made_over_http_that_reaches_what_belongs_to_others(
    client: httpx2.AsyncClient, services: Services, scope: Scope
) -> None:
    operator = await join(client, services, "op@example.com", *Scope)
    response = await operator.request("POST", "/v1/auth/keys", json={"name": "more", "scopes": ["search", scope]})
    assert (response.status_code, response.json()["code"]) == (403, "forbidden")
    assert response.json()["detail"] == f"Only `app create-key --role` makes keys with these scopes: {scope}."
    allowed = await operator.request("POST", "/v1/auth/keys", json={"name": "less", "scopes": sorted(ACCOUNT_SCOPES)})
    assert allowed.status_code == 201


async def test_a_key_cannot_make_one_that_outlives_it(client: httpx2.AsyncClient, services: Services) -> None:
    ada = await join(client, services, "ada@example.com")
    end = datetime.now(UTC) + timedelta(hours=1)

    async def make(expires_at: datetime | None) -> httpx2.Response:
        body = {"name": "new", "scopes": ["account"], "expires_at": expires_at and expires_at.isoformat()}
        return await ada.request("POST", "/v1/auth/keys", json=body)

    ada.headers = {"Authorization": f"Bearer {(await make(end)).json()['secret']}"}
    for asked, given in [(None, end), (end, end), (end - timedelta(minutes=1), end - timedelta(minutes=1))]:
        assert datetime.fromisoformat((await make(asked)).json()["expires_at"]) == given
    refused = await make(end + timedelta(seconds=1))
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert f"expires at {end.isoformat()}" in refused.json()["detail"]


async def test_revoked_and_expired_keys_open_nothing(client: httpx2.AsyncClient, services: Services) -> None:
    ada = await join(client, services, "ada@example.com")
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    body = {"name": "old", "scopes": ["account"], "expires_at": past}
    expired = (await ada.request("POST", "/v1/auth/keys", json=body)).json()
    assert (
        await client.get("/v1/auth/me", headers={"Authorization": f"Bearer {expired['secret']}"})
    ).status_code == 401
    fresh = (await ada.request("POST", "/v1/auth/keys", json={"name": "new", "scopes": ["account"]})).json()
    assert (await client.get("/v1/auth/me", headers={"Authorization": f"Bearer {fresh['secret']}"})).status_code == 200
    assert (await ada.request("DELETE", f"/v1/auth/keys/{fresh['id']}")).status_code == 204
    assert (await client.get("/v1/auth/me", headers={"Authorization": f"Bearer {fresh['secret']}"})).status_code == 401


@pytest.mark.parametrize("expires_at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_time_that_no_year_of_utc_holds_is_refused(
    client: httpx2.AsyncClient, services: Services, expires_at: str
) -> None:
    ada = await join(client, services, "ada@example.com")
    body = {"name": "odd", "scopes": ["account"], "expires_at": expires_at}
    response = await ada.request("POST", "/v1/auth/keys", json=body)
    assert response.status_code == 422
    assert [each["location"] for each in response.json()["errors"]] == ["body.expires_at"]


async def test_nobody_sees_or_revokes_the_keys_of_others(client: httpx2.AsyncClient, services: Services) -> None:
    ada, eve = await join(client, services, "ada@example.com"), await join(client, services, "eve@example.com")
    [key] = (await ada.request("GET", "/v1/auth/keys")).json()["items"]
    assert (await eve.request("DELETE", f"/v1/auth/keys/{key['id']}")).status_code == 404
    assert key["id"] not in {each["id"] for each in (await eve.request("GET", "/v1/auth/keys")).json()["items"]}


async def test_without_credentials_there_is_a_challenge(client: httpx2.AsyncClient) -> None:
    response = await client.get("/v1/documents")
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"
