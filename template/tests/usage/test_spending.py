"""Spending on language models over HTTP: budgets hold, whatever happens to the calls."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from app.adapters.rate_limiter import LocalRateLimiter
from app.auth.caller import ACCOUNT_SCOPES
from app.auth.service import AuthService
from app.database import Database
from app.settings import Settings
from app.usage.budgets import Budgets
from app.usage.measurement import Expectation
from app.usage.rate_limits import RateLimits
from app.usage.service import UsageService
from app.usage.settings import UsageSettings
from tests.chat.fake_provider import INPUT_TOKENS, OUTPUT_TOKENS, FakeProvider
from tests.chat.service import PROVIDER_KEY, RunningService, provider_settings, run_process, run_service
from tests.usage.rows import count_reservations, expire_reservations, find_reserved, lock_reservations, read_rows

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "How long is the warranty?"}]
LONGEST = 93  # tokens of an answer; with 7 for the question a call may cost 0.1
COST = Decimal(INPUT_TOKENS + OUTPUT_TOKENS) / 1000  # at 0.001 per token
BUDGET = Decimal("0.35")


@pytest.fixture
def settings(settings: Settings, model: str) -> Settings:
    """Settings with a budget for three concurrent calls."""
    priced = {"prices": {model: {"input": 1000, "output": 1000}}, "monthly_budget": BUDGET, "currency": "EUR"}
    return settings.model_copy(update={"usage": UsageSettings.model_validate(priced)})


@pytest.fixture
async def service(settings: Settings, provider: FakeProvider, model: str) -> AsyncIterator[RunningService]:
    async with run_service(settings, provider_settings(provider, "openai", model)) as running:
        yield running


async def report(service: RunningService) -> dict[str, Any]:
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {service.key}"}) as client:
        answer: dict[str, Any] = (await client.get(f"{service.url}/v1/usage")).json()
        return answer


async def ask(client: openai.AsyncOpenAI) -> None:
    await client.chat.completions.create(model="default", messages=HELLO, max_tokens=LONGEST)


async def test_the_report_says_what_was_spent_and_what_is_left(service: RunningService) -> None:
    async with service.client() as client:
        await ask(client)
    said = await report(service)
    assert said["currency"] == "EUR"
    assert [item["cost"] for item in [*said["items"], said["total"]]] == ["0.018", "0.018"]
    month = said["month"]
    assert month.pop("month").endswith("-01")
    assert month == {"budget": "0.35", "spent": "0.018", "reserved": "0", "remaining": "0.332"}


async def test_a_spent_budget_is_a_429_that_openais_client_does_not_try_again(
    service: RunningService, provider: FakeProvider
) -> None:
    async with openai.AsyncOpenAI(base_url=f"{service.url}/v1", api_key=service.key) as client:
        with pytest.raises(openai.RateLimitError) as caught:
            await client.chat.completions.create(model="default", messages=HELLO, max_tokens=400)
    assert caught.value.code == "budget_exhausted"
    assert int(caught.value.response.headers["retry-after"]) >= 1
    assert provider.calls == []
    assert await count_reservations(service.services.ports.database) == 0


@pytest.mark.parametrize("model", ["slow"])
async def test_calls_under_way_hold_what_they_may_cost(service: RunningService, provider: FakeProvider) -> None:
    async with service.client() as client:
        waiting = [asyncio.create_task(ask(client)) for _ in range(3)]
        while len(provider.calls) < 3:
            await asyncio.sleep(0.01)
        assert (await report(service))["month"]["remaining"] == "0.05"
        with pytest.raises(openai.RateLimitError) as caught:
            await ask(client)
        assert caught.value.code == "too_many_requests"
        provider.go.set()
        await asyncio.gather(*waiting)
        await ask(client)
    assert (await report(service))["month"]["spent"] == str(4 * COST)


@pytest.mark.parametrize("model", ["status-500"])
async def test_a_provider_that_refuses_costs_nothing(service: RunningService) -> None:
    async with service.client() as client:
        with pytest.raises(openai.InternalServerError):
            await ask(client)
    month = (await report(service))["month"]
    assert (month["spent"], month["reserved"]) == ("0", "0")


@pytest.mark.parametrize("model", ["stalls"])
async def test_who_leaves_a_stream_pays_for_what_he_got(service: RunningService) -> None:
    async with service.client() as client:
        stream = await client.chat.completions.create(model="default", messages=HELLO, max_tokens=LONGEST, stream=True)
        async for chunk in stream:
            if "months" in (chunk.choices[0].delta.content or ""):
                break
        await stream.close()
    row = await asyncio.wait_for(service.usage(), 10)
    month = (await report(service))["month"]
    assert row.cost is not None
    assert (Decimal(month["spent"]), month["reserved"]) == (row.cost, "0")
    assert 0 < row.cost < Decimal("0.1")


async def test_a_caller_who_leaves_during_admission_leaves_nothing_reserved(
    settings: Settings, database: Database
) -> None:
    caller = await AuthService(database, settings.auth).ensure_account("ada@example.com")
    budgets = Budgets(database, settings.usage)
    usage = UsageService(database, RateLimits(LocalRateLimiter(), settings.limits), budgets)
    async with lock_reservations(database):
        entering = asyncio.create_task(usage.admit(Expectation("chat", "openai:steady", 7, 93), caller=caller))
        await asyncio.sleep(0)
        entering.cancel()
    # It is still admitted, and its reservation is released before a worker's event loop can stop.
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert await find_reserved(database) == 0
    assert await count_reservations(database) == 0


@pytest.mark.parametrize("model", ["stalls"])
async def test_a_killed_process_leaves_no_call_unpaid_and_no_budget_overdrawn(
    settings: Settings, database: Database, provider: FakeProvider, tmp_path: Path
) -> None:
    auth = AuthService(database, settings.auth)
    caller = await auth.ensure_account("ada@example.com")
    key = (await auth.create_key("test", ACCOUNT_SCOPES, caller=caller)).secret
    async with (
        run_killable_service(provider, settings, tmp_path / "log") as (url, process),
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client,
    ):
        chat = client.chat.completions
        streams = [
            await chat.create(model="default", messages=HELLO, max_tokens=LONGEST, stream=True) for _ in range(3)
        ]
        for stream in streams:
            async for chunk in stream:
                if "months" in (chunk.choices[0].delta.content or ""):
                    break
        process.kill()
        await asyncio.to_thread(process.wait)
        for stream in streams:
            await stream.close()
    async with run_service(settings, provider_settings(provider, "openai", "stalls")) as again:
        month = (await report(again))["month"]
        assert (month["spent"], month["reserved"], month["remaining"]) == ("0", "0.3", "0.05")
        async with again.client() as client:
            with pytest.raises(openai.RateLimitError):
                await ask(client)
        await expire_reservations(database)
        month = (await report(again))["month"]
        assert (month["spent"], month["reserved"], month["remaining"]) == ("0.3", "0", "0.05")
    rows = await read_rows(database)
    assert [(row.finish_reason, row.estimated, row.cost) for row in rows] == [("lost", True, Decimal("0.1"))] * 3


@asynccontextmanager
async def run_killable_service(
    provider: FakeProvider, settings: Settings, log: Path
) -> AsyncIterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run the service, with the fake provider behind it, in a process that the test can kill."""
    prices = {name: price.model_dump(mode="json", exclude_none=True) for name, price in settings.usage.prices.items()}
    environment = {
        "APP_LANGUAGE_MODEL__PROVIDER": "openai",
        "APP_LANGUAGE_MODEL__MODEL": "stalls",
        "APP_LANGUAGE_MODEL__BASE_URL": f"{provider.url}/v1",
        "APP_LANGUAGE_MODEL__API_KEY": PROVIDER_KEY,
        "APP_USAGE__PRICES": json.dumps(prices),
        "APP_USAGE__MONTHLY_BUDGET": str(BUDGET),
    }
    async with run_process(environment, log) as running:
        yield running
