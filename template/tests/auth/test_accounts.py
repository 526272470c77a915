"""Tests of registration, sign-in and sessions over HTTP."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx2
import pytest

from app.auth.tokens import AuthSettings, Session, issue_tokens
from app.bootstrap import Services
from app.errors import ConflictError
from app.settings import Settings

ADA = {"email": "Ada@Example.com", "password": "correct horse battery"}


async def sign_in(client: httpx2.AsyncClient, password: str = ADA["password"]) -> httpx2.Response:
    return await client.post("/v1/auth/token", data={"username": "ada@example.com", "password": password})


async def test_whoever_registers_can_sign_in_and_see_their_account(client: httpx2.AsyncClient) -> None:
    registered = await client.post("/v1/auth/register", json=ADA)
    assert registered.status_code == 201
    assert registered.json()["email"] == "ada@example.com"
    tokens = (await sign_in(client)).json()
    me = await client.get("/v1/auth/me", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert me.json()["id"] == registered.json()["id"]


async def test_an_address_can_be_registered_once_in_any_case(client: httpx2.AsyncClient) -> None:
    await client.post("/v1/auth/register", json=ADA)
    again = await client.post("/v1/auth/register", json=ADA | {"email": "ADA@example.com"})
    assert again.status_code == 409
    assert again.json()["code"] == "conflict"


async def test_a_wrong_password_and_an_unknown_address_look_the_same(client: httpx2.AsyncClient) -> None:
    unknown = await sign_in(client)
    await client.post("/v1/auth/register", json=ADA)
    wrong = await sign_in(client, password="wrong horse battery")
    assert unknown.status_code == wrong.status_code == 401
    assert unknown.json()["detail"] == wrong.json()["detail"]


async def test_a_refresh_token_buys_new_tokens_but_opens_nothing(client: httpx2.AsyncClient) -> None:
    await client.post("/v1/auth/register", json=ADA)
    tokens = (await sign_in(client)).json()
    refreshed = await client.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert refreshed.status_code == 200
    as_access = await client.get("/v1/auth/me", headers={"Authorization": f"Bearer {tokens['refresh_token']}"})
    assert as_access.status_code == 401
    as_refresh = await client.post("/v1/auth/refresh", json={"refresh_token": tokens["access_token"]})
    assert as_refresh.status_code == 401


async def test_what_operators_made_without_a_password_is_not_given_one_by_registering(
    client: httpx2.AsyncClient, services: Services
) -> None:
    made = await services.auth.ensure_account("ada@example.com")
    assert (await client.post("/v1/auth/register", json=ADA)).status_code == 409
    assert (await sign_in(client)).status_code == 401
    assert (await services.auth.ensure_account("Ada@example.com")).id == made.id


async def test_operators_take_an_account_with_a_password_only_when_they_say_so(
    client: httpx2.AsyncClient, services: Services
) -> None:
    registered = (await client.post("/v1/auth/register", json=ADA)).json()
    with pytest.raises(ConflictError, match="give --existing"):
        await services.auth.ensure_account("ada@example.com")
    assert str((await services.auth.ensure_account("ada@example.com", existing=True)).id) == registered["id"]


async def test_a_sign_in_that_is_too_long_ago_cannot_be_refreshed(
    client: httpx2.AsyncClient, services: Services, settings: Settings
) -> None:
    account = UUID((await client.post("/v1/auth/register", json=ADA)).json()["id"])
    statuses = []
    for age in (timedelta(days=1, minutes=-1), timedelta(days=1)):
        # As if they had been issued while sessions lasted longer.
        tokens = issue_tokens(Session(account, datetime.now(UTC) - age), services.auth.settings)
        settings.auth.session_days = 1
        answer = await client.post("/v1/auth/refresh", json={"refresh_token": tokens.refresh})
        statuses.append((answer.status_code, answer.json().get("code")))
        settings.auth.session_days = 90
    assert statuses == [(200, None), (401, "unauthenticated")]


async def test_nobody_registers_unless_it_was_opened(client: httpx2.AsyncClient, settings: Settings) -> None:
    settings.auth.registration_open = AuthSettings.model_fields["registration_open"].default
    assert (await client.post("/v1/auth/register", json=ADA)).status_code == 403


@pytest.mark.parametrize(
    "body", [{"email": "nobody", "password": "long enough for it"}, {"email": "a@example.com", "password": "short"}]
)
async def test_a_bad_address_or_password_is_refused_with_the_field_named(
    client: httpx2.AsyncClient, body: dict[str, str]
) -> None:
    response = await client.post("/v1/auth/register", json=body)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["errors"][0]["location"] in {"body.email", "body.password"}
