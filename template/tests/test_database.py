"""Tests that database failures become the service's own errors."""

import asyncio
import socket
import traceback
from collections.abc import AsyncIterator

import httpx2
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.bootstrap import Services
from app.database import Database, DatabaseSettings, open_database
from app.errors import UnavailableError
from tests.databases import rendered
from tests.gate import Gate, open_gate
from tests.http import join

NUL = "a\0b"
PROMPT = "what nobody but the caller should read"


async def test_a_nul_character_is_the_callers_mistake_wherever_it_comes_in(
    client: httpx2.AsyncClient, services: Services
) -> None:
    ada = await join(client, services, "ada@example.com")
    answers = [
        await ada.request("POST", "/v1/auth/keys", json={"name": NUL, "scopes": ["search"]}),
        await ada.upload("a.txt", b"text", data={"tags": [NUL]}),
        await ada.request("POST", "/v1/search", json={"query": "x", "filters": {"tags": [NUL]}}),
        await client.post("/v1/auth/token", data={"username": NUL, "password": "x"}),
    ]
    assert [answer.status_code for answer in answers] == [422] * 4
    document_id = (await ada.upload("a.txt", b"text")).json()["document"]["id"]
    changed = await ada.request("PATCH", f"/v1/documents/{document_id}", json={"tags": [NUL]})
    assert changed.status_code == 422


async def run(database: Database, *statements: str) -> None:
    async with database.transaction() as session:
        for statement in statements:
            await session.execute(text(statement))


async def test_a_database_that_is_not_there_is_unavailable(unused_tcp_port: int) -> None:
    url = f"postgresql+asyncpg://app:app@127.0.0.1:{unused_tcp_port}/app"
    async with open_database(DatabaseSettings.model_validate({"url": url})) as database:
        with pytest.raises(UnavailableError):
            await run(database, "SELECT 1")


async def test_a_server_that_accepts_and_says_nothing_is_unavailable_in_time() -> None:
    # The kernel completes connections even if nothing accepts them.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+asyncpg://app:app@127.0.0.1:{silent.getsockname()[1]}/app"
        async with asyncio.timeout(30), open_database(DatabaseSettings.model_validate({"url": url})) as database:
            with pytest.raises(UnavailableError):
                await run(database, "SELECT 1")


@pytest.fixture
async def gate(database_url: str) -> AsyncIterator[Gate]:
    """Open a gate to the test's database."""
    url = make_url(database_url)
    async with open_gate(url.host or "", url.port or 5432) as opened:
        yield opened


@pytest.fixture
async def behind_gate(gate: Gate, database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """Connect through the gate with a statement timeout of two seconds and one second more for a silent server."""
    monkeypatch.setattr("app.database.SILENCE_SECONDS", 1.0)
    url = rendered(make_url(database_url).set(host="127.0.0.1", port=gate.port))
    async with open_database(DatabaseSettings.model_validate({"url": url, "statement_timeout": 2000})) as opened:
        yield opened


async def test_a_pooled_connection_that_falls_silent_is_unavailable_in_time_and_never_used_again(
    gate: Gate, behind_gate: Database
) -> None:
    await run(behind_gate, "SELECT 1")
    gate.is_silent = True
    async with asyncio.timeout(30):
        with pytest.raises(UnavailableError):
            await run(behind_gate, "SELECT 1")
    gate.is_silent = False
    await run(behind_gate, "SELECT 1")


@pytest.mark.parametrize("last", ["statement", "commit"])
async def test_a_server_that_falls_silent_within_a_transaction_is_unavailable_in_time(
    gate: Gate, behind_gate: Database, last: str
) -> None:
    async def fall_silent() -> None:
        async with behind_gate.transaction() as session:
            await session.execute(text("SELECT 1"))
            gate.is_silent = True
            if last == "statement":
                await session.execute(text("SELECT 1"))

    async with asyncio.timeout(30):
        with pytest.raises(UnavailableError):
            await fall_silent()
    gate.is_silent = False
    await run(behind_gate, "SELECT 1")


@pytest.mark.parametrize(
    "statements",
    [
        ["SELECT pg_sleep(60)"],
        ["SET LOCAL lock_timeout = 1", "LOCK accounts"],
        ["SET TRANSACTION READ ONLY", "DELETE FROM accounts"],
        ["DO $$ BEGIN RAISE deadlock_detected; END $$"],
    ],
    ids=["statement timeout", "lock timeout", "read-only server", "deadlock"],
)
async def test_temporary_database_errors_become_unavailable(
    database: Database, database_url: str, statements: list[str]
) -> None:
    settings = DatabaseSettings.model_validate({"url": database_url, "statement_timeout": 500})
    async with open_database(settings) as impatient, database.transaction() as session:
        await session.execute(text("SELECT * FROM accounts"))
        with pytest.raises(UnavailableError):
            await run(impatient, *statements)


@pytest.mark.parametrize(("user", "name"), [("nobody", None), (None, "nowhere")])
async def test_a_server_that_refuses_the_connection_is_unavailable(
    database_url: str, user: str | None, name: str | None
) -> None:
    url = rendered(make_url(database_url).set(username=user, database=name))
    async with open_database(DatabaseSettings.model_validate({"url": url})) as database:
        with pytest.raises(UnavailableError):
            await run(database, "SELECT 1")


async def test_connections_that_are_all_taken_are_unavailable_in_time(database_url: str) -> None:
    settings = DatabaseSettings.model_validate({"url": database_url, "pool_size": 1, "pool_timeout": 0.1})
    async with open_database(settings) as database, database.transaction() as session:
        await session.execute(text("SELECT 1"))
        with pytest.raises(UnavailableError):
            await run(database, "SELECT 1")


async def test_other_failures_pass_as_they_are(database: Database) -> None:
    statement = "INSERT INTO accounts (id, email) VALUES (gen_random_uuid(), 'twice')"
    with pytest.raises(IntegrityError):
        await run(database, statement, statement)


async def test_the_text_of_a_failure_holds_no_value_that_the_statement_was_given(database: Database) -> None:
    statement = text("SELECT 1 / (:length - length(:prompt))")
    with pytest.raises(DBAPIError) as failure:
        async with database.transaction() as session:
            await session.execute(statement, {"length": len(PROMPT), "prompt": PROMPT})
    told = "".join(traceback.format_exception(failure.value))
    assert "division by zero" in told
    assert PROMPT not in told
