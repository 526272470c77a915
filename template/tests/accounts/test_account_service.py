"""Tests of account administration by operators."""

import httpx2
import pytest

from app.accounts.service import AccountService
from app.bootstrap import Services
from app.errors import NotFoundError
from app.settings import Settings
from tests.http import Person

ADA = {"email": "ada@example.com", "password": "correct horse battery"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Return settings under which every request is checked against the database."""
    settings.auth.cache_seconds = 0
    return settings


@pytest.fixture
def accounts(services: Services) -> AccountService:
    return AccountService(services.ports.database)


async def sign_in(client: httpx2.AsyncClient) -> httpx2.Response:
    return await client.post("/v1/auth/token", data={"username": ADA["email"], "password": ADA["password"]})


async def test_the_credentials_of_a_locked_account_open_nothing_until_it_is_unlocked(
    client: httpx2.AsyncClient, accounts: AccountService
) -> None:
    await client.post("/v1/auth/register", json=ADA)
    tokens = (await sign_in(client)).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    key = (await client.post("/v1/auth/keys", json={"name": "k", "scopes": ["account"]}, headers=bearer)).json()

    async def statuses() -> set[int]:
        credentials = [bearer, {"Authorization": f"Bearer {key['secret']}"}]
        answers = [await client.get("/v1/auth/me", headers=each) for each in credentials]
        answers.append(await client.post("/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]}))
        answers.append(await sign_in(client))
        return {answer.status_code for answer in answers}

    assert await statuses() == {200}
    for _ in range(2):
        await accounts.set_active("Ada@example.com", active=False)
        assert await statuses() == {401}
    assert not (await accounts.read(ADA["email"])).account.is_active
    await accounts.set_active(ADA["email"], active=True)
    assert await statuses() == {200}


async def test_an_overview_counts_keys_and_documents(ada: Person, eve: Person, accounts: AccountService) -> None:
    await ada.upload("a.txt", b"four")
    await ada.upload("b.txt", b"seven..")
    await eve.upload("c.txt", b"hers")
    overview = await accounts.read("ADA@example.com")
    assert (overview.documents, overview.size, [key.name for key in overview.keys]) == (2, 11, ["test"])


async def test_a_key_is_revoked_by_its_prefix_and_no_other_is(
    ada: Person, eve: Person, accounts: AccountService
) -> None:
    [key] = (await accounts.read(ada.email)).keys
    with pytest.raises(NotFoundError, match="has no key"):
        await accounts.revoke_key(eve.email, key.prefix)
    assert (await ada.request("GET", "/v1/auth/me")).status_code == 200
    assert await accounts.revoke_key(ada.email, key.prefix) == ["test"]
    assert (await ada.request("GET", "/v1/auth/me")).status_code == 401
    assert (await eve.request("GET", "/v1/auth/me")).status_code == 200


async def test_an_unknown_address_is_said_to_be_one(accounts: AccountService) -> None:
    for attempt in (
        accounts.read("nobody@example.com"),
        accounts.set_active("nobody@example.com", active=False),
        accounts.revoke_key("nobody@example.com", "sk-abcdef"),
    ):
        with pytest.raises(NotFoundError, match=r"No account has the address nobody@example\.com\."):
            await attempt
