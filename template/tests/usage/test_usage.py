"""Usage of language models: it is recorded, and added up per caller."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import httpx2
import pytest
from sqlalchemy import text

from app.auth.caller import Caller, Scope
from app.bootstrap import Services
from app.database import Database
from app.usage import repository
from app.usage.admission import Admission, Hold
from app.usage.measurement import Expectation, Measurement
from tests.http import Person, join
from tests.usage.rows import add_row, read_rows

QUESTION = {"model": "default", "messages": [{"role": "user", "content": "The sky is blue. What colour is the sky?"}]}
EXPECTED = Expectation("chat.completions", "openai:gpt-5", 100, 1000)


@pytest.fixture
async def ada(client: httpx2.AsyncClient, services: Services) -> Person:
    return await join(client, services, "ada@example.com")


def measurement(**changes: object) -> Measurement:
    values = {
        "endpoint": "chat.completions",
        "model": "openai:gpt-5",
        "input_tokens": 100,
        "output_tokens": 10,
        "cached_tokens": 50,
        "estimated": False,
        "finish_reason": "stop",
        "first_token_seconds": 0.2,
        "seconds": 1.0,
    }
    return Measurement(**values | changes)  # type: ignore[arg-type]


async def record(services: Services, used: Measurement, caller: Caller) -> None:
    await services.usage.record(used, await services.usage.admit(EXPECTED, caller=caller))


async def test_a_chat_is_on_the_account_of_the_key_that_asked(ada: Person, services: Services) -> None:
    answer = (await ada.request("POST", "/v1/chat/completions", json=QUESTION)).json()
    [row] = await read_rows(services.ports.database)
    caller = await services.auth.authenticate(ada.headers["Authorization"].removeprefix("Bearer "))
    assert (row.owner_id, row.key_id) == (caller.id, caller.key_id)
    assert (row.endpoint, row.model, row.finish_reason) == ("chat.completions", "offline:extractive", "stop")
    assert (row.input_tokens, row.output_tokens) == (
        answer["usage"]["prompt_tokens"],
        answer["usage"]["completion_tokens"],
    )
    assert not row.estimated
    assert row.first_token_seconds is not None
    assert row.first_token_seconds <= row.seconds


async def test_an_answer_from_documents_is_on_the_account_too(ada: Person, services: Services) -> None:
    await ada.upload_and_index("sky.txt", b"The sky is blue at noon.")
    answer = (await ada.request("POST", "/v1/answers", json={"question": "What colour is the sky?"})).json()
    [row] = await read_rows(services.ports.database)
    assert (row.endpoint, row.output_tokens) == ("answers", answer["usage"]["output_tokens"])


async def test_what_is_refused_costs_nothing(ada: Person, services: Services) -> None:
    assert (await ada.request("POST", "/v1/chat/completions", json=QUESTION | {"model": "none"})).status_code == 404
    json_please = QUESTION | {"response_format": {"type": "json_object"}}
    assert (await ada.request("POST", "/v1/chat/completions", json=json_please)).status_code == 400
    assert await read_rows(services.ports.database) == []


async def test_the_report_adds_up_days_and_models_of_the_caller_alone(services: Services, ada: Person) -> None:
    began = datetime.now(UTC).date()
    caller = await services.auth.ensure_account("ada@example.com")
    stranger = await services.auth.ensure_account("eve@example.com")
    for each in (measurement(), measurement(), measurement(model="offline:extractive", cached_tokens=0)):
        await record(services, each, caller)
    await record(services, measurement(input_tokens=9999), stranger)
    report = (await ada.request("GET", "/v1/usage")).json()
    today = report["last"]
    assert began <= date.fromisoformat(today) <= datetime.now(UTC).date()
    assert [(item["day"], item["model"], item["requests"]) for item in report["items"]] == [
        (today, "offline:extractive", 1),
        (today, "openai:gpt-5", 2),
    ]
    assert report["total"] == {
        "requests": 3,
        "input_tokens": 300,
        "output_tokens": 30,
        "cached_tokens": 100,
        "cost": "0",
    }


async def test_other_days_are_left_out(ada: Person, services: Services) -> None:
    await record(services, measurement(), await services.auth.ensure_account("ada@example.com"))
    report = (await ada.request("GET", "/v1/usage", params={"first": "2024-01-01", "last": "2024-01-31"})).json()
    assert (report["items"], report["total"]["requests"]) == ([], 0)


async def test_a_day_begins_and_ends_at_midnight_in_utc(database: Database, account_id: UUID) -> None:
    microsecond = timedelta(microseconds=1)
    first, last = date(2024, 2, 28), date(2024, 2, 29)
    for moment in (datetime(2024, 2, 28, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)):
        for created_at in (moment - microsecond, moment):
            await add_row(database, account_id, created_at)
    async with database.transaction() as session:
        await session.execute(text("SET LOCAL TIME ZONE 'America/New_York'"))
        days = await repository.list_daily(session, account_id, first, last)
    assert [(each.day, each.requests) for each in days] == [(last, 1), (first, 1)]


async def test_the_report_of_a_day_reads_that_day_alone(database: Database, account_id: UUID) -> None:
    today = datetime.now(UTC)
    for days in range(50):
        await add_row(database, account_id, today - timedelta(days=days))
    async with database.transaction() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        [day] = await repository.list_daily(session, account_id, today.date(), today.date())
        read = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'usage_records'"
        assert (day.requests, await session.scalar(text(read))) == (1, 1)


@pytest.mark.parametrize(
    "days",
    [
        {"first": "2024-01-02", "last": "2024-01-01"},
        {"first": "2020-01-01", "last": "2024-01-01"},
        {"first": "yesterday"},
        {"first": "9999-12-31"},
    ],
)
async def test_days_that_make_no_sense_are_refused(ada: Person, days: dict[str, str]) -> None:
    assert (await ada.request("GET", "/v1/usage", params=days)).status_code == 422


@pytest.mark.parametrize("last", ["0001-01-01", "9999-12-31"])
async def test_the_ends_of_the_calendar_are_days_like_any_other(ada: Person, last: str) -> None:
    assert (await ada.request("GET", "/v1/usage", params={"last": last})).status_code == 200


async def test_the_report_takes_its_scope(client: httpx2.AsyncClient, services: Services) -> None:
    chatter = await join(client, services, "cy@example.com", Scope.CHAT)
    assert (await chatter.request("GET", "/v1/usage")).status_code == 403


async def test_an_account_that_is_gone_does_not_fail_the_answer(services: Services) -> None:
    await services.usage.record(
        measurement(), Admission(Caller(UUID(int=7)), EXPECTED, Hold(UUID(int=8), date.min, None), taken=None)
    )
    assert await read_rows(services.ports.database) == []
