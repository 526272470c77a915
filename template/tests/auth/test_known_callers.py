"""Tests of the cache of authenticated callers, which saves a database query per request."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.auth.caller import ACCOUNT_SCOPES
from app.auth.service import AuthService, NewKey
from app.auth.tokens import Session, issue_tokens
from app.database import Database
from app.errors import UnauthenticatedError
from app.settings import Settings

LONG, SHORT = 300.0, 0.05


def auth_service(database: Database, settings: Settings, cache_seconds: float) -> AuthService:
    return AuthService(database, settings.auth.model_copy(update={"cache_seconds": cache_seconds}))


async def make_key(auth: AuthService, expires_at: datetime | None = None) -> NewKey:
    ada = await auth.ensure_account("ada@example.com")
    return await auth.create_key("test", ACCOUNT_SCOPES, expires_at, caller=ada)


async def run(database: Database, statement: str) -> None:
    async with database.transaction() as session:
        await session.execute(text(statement))


async def opens(auth: AuthService, *credentials: str) -> list[bool]:
    answers = await asyncio.gather(*map(auth.authenticate, credentials), return_exceptions=True)
    assert all(not isinstance(each, BaseException) or isinstance(each, UnauthenticatedError) for each in answers)
    return [not isinstance(each, BaseException) for each in answers]


async def test_what_was_good_a_moment_ago_is_good_here_and_nowhere_else(database: Database, settings: Settings) -> None:
    auth, elsewhere = (auth_service(database, settings, LONG) for _ in range(2))
    new = await make_key(auth)
    both = new.secret, issue_tokens(Session(new.key.account_id, datetime.now(UTC)), settings.auth).access
    assert await opens(auth, *both) == [True, True]
    await run(database, "UPDATE accounts SET is_active = false")
    assert await opens(auth, *both) == [True, True]
    assert await opens(elsewhere, *both) == [False, False]


@pytest.mark.parametrize("cache_seconds", [0, SHORT])
async def test_afterwards_the_database_is_asked_again(
    database: Database, settings: Settings, cache_seconds: float
) -> None:
    auth = auth_service(database, settings, cache_seconds)
    new = await make_key(auth)
    both = new.secret, issue_tokens(Session(new.key.account_id, datetime.now(UTC)), settings.auth).access
    assert await opens(auth, *both) == [True, True]
    await run(database, "UPDATE accounts SET is_active = false")
    await asyncio.sleep(2 * cache_seconds)
    assert await opens(auth, *both) == [False, False]


async def test_a_revoked_key_is_rejected_at_once(database: Database, settings: Settings) -> None:
    auth = auth_service(database, settings, LONG)
    new = await make_key(auth)
    caller = await auth.authenticate(new.secret)
    await auth.delete_key(new.key.id, caller=caller)
    assert await opens(auth, new.secret) == [False]


async def test_a_token_is_believed_without_its_signature_for_as_long_as_its_account_and_not_beyond_its_life(
    database: Database, settings: Settings
) -> None:
    auth = auth_service(database, settings, LONG)
    account = await auth.ensure_account("ada@example.com")
    session = Session(account.id, datetime.now(UTC))
    long, short = (
        issue_tokens(session, settings.auth.model_copy(update={"access_minutes": minutes})).access
        for minutes in (15, 4)
    )
    assert await opens(auth, long, short) == [True, True]
    auth.settings = settings.auth.model_copy(update={"cache_seconds": LONG, "jwt_secret": SecretStr("another" * 10)})
    assert await opens(auth, long, short) == [True, False]


async def test_a_key_is_not_believed_beyond_its_life(database: Database, settings: Settings) -> None:
    auth = auth_service(database, settings, LONG)
    new = await make_key(auth, datetime.now(UTC) + timedelta(seconds=LONG / 2))
    assert await opens(auth, new.secret) == [True]
    await run(database, "UPDATE api_keys SET expires_at = now()")
    assert await opens(auth, new.secret) == [False]
