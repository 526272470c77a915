"""Budgets: no account overspends, however many calls run concurrently and however they end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from uuid import UUID

import pytest

from app.auth.caller import Caller
from app.auth.service import AuthService
from app.database import Database, DatabaseSettings, open_database
from app.errors import BudgetExhaustedError, ForbiddenError, TooManyRequestsError, UnavailableError
from app.settings import Settings
from app.usage.budgets import Budgets
from app.usage.measurement import CACHED, Expectation, Measurement
from app.usage.repository import Spending
from app.usage.settings import UsageSettings
from tests.usage.rows import count_reservations, expire_reservations, read_rows

MODEL = "openai:gpt-5"
CALL = Expectation("chat.completions", MODEL, 100, 900)  # 0.001 per token: at most 1
PRICED = {"prices": {MODEL: {"input": 1000, "output": 1000}}}


def used(tokens: int, model: str = MODEL) -> Measurement:
    return Measurement("chat.completions", model, tokens, 0, 0, False, "stop", 0.1, 1.0)  # noqa: FBT003


def usage_settings(budget: int | None = None) -> UsageSettings:
    return UsageSettings.model_validate(PRICED | {"monthly_budget": budget})


@pytest.fixture
def budgets(database: Database) -> Budgets:
    return Budgets(database, usage_settings(10))


@pytest.fixture
def ada(account_id: UUID) -> Caller:
    return Caller(account_id)


@pytest.fixture
async def another_pool(database_url: str) -> AsyncIterator[Database]:
    async with open_database(DatabaseSettings.model_validate({"url": database_url})) as opened:
        yield opened


async def standing(budgets: Budgets, ada: Caller) -> tuple[Spending, Decimal | None]:
    month = await budgets.read_month(caller=ada)
    return month.spending, month.remaining


async def test_the_cost_of_the_most_expensive_candidate_is_reserved(database: Database, ada: Caller) -> None:
    dear = {"openai:dear": {"input": 5000, "output": 5000}}
    budgets = Budgets(database, UsageSettings.model_validate({"prices": PRICED["prices"] | dear, "monthly_budget": 10}))
    await budgets.hold(replace(CALL, fallbacks=("openai:dear",)), caller=ada)
    assert (await standing(budgets, ada))[0].reserved == Decimal(5)
    with pytest.raises(ForbiddenError, match="no price for openai:unknown"):
        await budgets.hold(replace(CALL, fallbacks=("openai:dear", "openai:unknown")), caller=ada)


async def test_a_kept_answer_is_free_whether_or_not_the_model_that_gave_it_has_a_price(
    database: Database, budgets: Budgets, ada: Caller
) -> None:
    hold = await budgets.hold(Expectation("chat.completions", "openai:unknown", 0, 0), caller=ada)
    assert await count_reservations(database) == 0
    kept = replace(used(0, "openai:unknown"), finish_reason=CACHED)
    assert await budgets.settle(hold, kept, caller=ada) == 0


async def test_what_a_call_may_cost_is_set_aside_and_what_it_did_cost_is_taken(budgets: Budgets, ada: Caller) -> None:
    hold = await budgets.hold(CALL, caller=ada)
    assert await standing(budgets, ada) == (Spending(Decimal(0), Decimal(1)), Decimal(9))
    assert await budgets.settle(hold, used(250), caller=ada) == Decimal("0.25")
    assert await standing(budgets, ada) == (Spending(Decimal("0.25"), Decimal(0)), Decimal("9.75"))
    [row] = await read_rows(budgets.database)
    assert row.cost == Decimal("0.25")


async def test_a_call_that_was_never_made_costs_nothing(budgets: Budgets, ada: Caller) -> None:
    await budgets.release(await budgets.hold(CALL, caller=ada), caller=ada)
    assert await standing(budgets, ada) == (Spending(), Decimal(10))
    assert await read_rows(budgets.database) == []


async def test_a_hundred_calls_at_once_in_two_processes_never_hold_more_than_the_budget(
    budgets: Budgets, another_pool: Database, ada: Caller
) -> None:
    both = [budgets, Budgets(another_pool, budgets.settings)]
    calls = (both[number % 2].hold(CALL, caller=ada) for number in range(100))
    results = await asyncio.gather(*calls, return_exceptions=True)
    holds = [each for each in results if not isinstance(each, BaseException)]
    assert len(holds) == 10
    # The budget is reserved, not spent: a retry soon is worthwhile.
    refusals = [each for each in results if isinstance(each, BaseException)]
    assert {type(each) for each in refusals} == {TooManyRequestsError}
    assert (await standing(budgets, ada))[1] == 0
    await asyncio.gather(*(budgets.settle(hold, used(600), caller=ada) for hold in holds))
    assert await standing(budgets, ada) == (Spending(Decimal(6), Decimal(0)), Decimal(4))


async def test_calls_that_come_and_go_at_the_edge_leave_books_that_add_up(budgets: Budgets, ada: Caller) -> None:
    async def call(number: int) -> None:
        try:
            hold = await budgets.hold(CALL, caller=ada)
        except TooManyRequestsError:
            return
        if number % 3:
            await budgets.settle(hold, used(1000), caller=ada)
        else:
            await budgets.release(hold, caller=ada)

    await asyncio.gather(*(call(number) for number in range(100)))
    spending, _ = await standing(budgets, ada)
    rows = await read_rows(budgets.database)
    assert spending == Spending(Decimal(len(rows)), Decimal(0))
    assert spending.spent <= 10


async def test_when_the_budget_is_spent_the_next_month_is_the_time_to_come_back(budgets: Budgets, ada: Caller) -> None:
    await budgets.settle(await budgets.hold(CALL, caller=ada), used(9_500), caller=ada)
    with pytest.raises(
        BudgetExhaustedError, match=r"may cost 1 USD, and of this month's budget you have 0\.5 left"
    ) as no:
        await budgets.hold(CALL, caller=ada)
    assert 1 <= int(no.value.headers["Retry-After"]) <= 31 * 86_400
    assert no.value.headers["x-should-retry"] == "false"


async def test_a_call_that_costs_more_than_was_thought_is_paid_in_full(budgets: Budgets, ada: Caller) -> None:
    await budgets.settle(await budgets.hold(CALL, caller=ada), used(10_400), caller=ada)
    assert await standing(budgets, ada) == (Spending(Decimal("10.4")), Decimal(0))
    with pytest.raises(BudgetExhaustedError):
        await budgets.hold(CALL, caller=ada)


async def test_a_call_whose_process_died_counts_as_spent_when_its_time_is_up(budgets: Budgets, ada: Caller) -> None:
    hold = await budgets.hold(CALL, caller=ada)
    await expire_reservations(budgets.database)
    assert await standing(budgets, ada) == (Spending(Decimal(1)), Decimal(9))
    [row] = await read_rows(budgets.database)
    assert (row.id, row.finish_reason, row.estimated, row.cost) == (hold.id, "lost", True, Decimal(1))
    assert (row.input_tokens, row.output_tokens) == (100, 900)


async def test_a_call_that_ends_after_its_time_is_counted_once_and_rightly(budgets: Budgets, ada: Caller) -> None:
    hold = await budgets.hold(CALL, caller=ada)
    await expire_reservations(budgets.database)
    await budgets.read_month(caller=ada)
    await budgets.settle(hold, used(250), caller=ada)
    assert await standing(budgets, ada) == (Spending(Decimal("0.25")), Decimal("9.75"))
    [row] = await read_rows(budgets.database)
    assert (row.finish_reason, row.cost) == ("stop", Decimal("0.25"))


async def test_calls_that_expire_are_settled_once_however_many_look(budgets: Budgets, ada: Caller) -> None:
    for _ in range(5):
        await budgets.hold(CALL, caller=ada)
    await expire_reservations(budgets.database)
    await asyncio.gather(*(budgets.read_month(caller=ada) for _ in range(10)))
    assert await standing(budgets, ada) == (Spending(Decimal(5)), Decimal(5))
    assert len(await read_rows(budgets.database)) == 5


async def test_nobody_spends_what_belongs_to_another(budgets: Budgets, ada: Caller, settings: Settings) -> None:
    eve = await AuthService(budgets.database, settings.auth).ensure_account("eve@example.com")
    await budgets.settle(await budgets.hold(CALL, caller=ada), used(10_000), caller=ada)
    await expire_reservations(budgets.database)
    assert await standing(budgets, eve) == (Spending(), Decimal(10))
    await budgets.hold(CALL, caller=eve)


async def test_an_own_budget_comes_before_that_of_everybody(budgets: Budgets, ada: Caller) -> None:
    await budgets.set_budget(Decimal("0.5"), caller=ada)
    with pytest.raises(BudgetExhaustedError):
        await budgets.hold(CALL, caller=ada)
    await budgets.set_budget(None, caller=ada)
    await asyncio.gather(*(budgets.hold(CALL, caller=ada) for _ in range(12)))
    assert (await budgets.read_month(caller=ada)).remaining is None
    await budgets.unset_budget(caller=ada)
    with pytest.raises(TooManyRequestsError):
        await budgets.hold(CALL, caller=ada)


async def test_a_model_without_a_price_is_refused_to_who_has_a_budget_alone(budgets: Budgets, ada: Caller) -> None:
    unpriced = Expectation("chat.completions", "openai:new", 100, 900)
    with pytest.raises(ForbiddenError, match="no price for openai:new"):
        await budgets.hold(unpriced, caller=ada)
    await budgets.set_budget(None, caller=ada)
    hold = await budgets.hold(unpriced, caller=ada)
    assert await budgets.settle(hold, used(10, "openai:new"), caller=ada) is None
    assert [row.cost for row in await read_rows(budgets.database)] == [None]
    assert await standing(budgets, ada) == (Spending(), None)


@pytest.mark.parametrize("model", ["openai:new", "offline:extractive"])
async def test_a_call_without_price_and_budget_reserves_nothing_but_is_recorded(
    database: Database, ada: Caller, model: str
) -> None:
    budgets = Budgets(database, usage_settings())
    call = replace(CALL, model=model)
    await budgets.release(await budgets.hold(call, caller=ada), caller=ada)
    hold = await budgets.hold(call, caller=ada)
    assert await count_reservations(database) == 0
    await budgets.settle(hold, used(10, model), caller=ada)
    [row] = await read_rows(database)
    assert (row.id, row.model, row.input_tokens) == (hold.id, model, 10)
    assert (await standing(budgets, ada))[0] == Spending()


async def test_a_priced_call_is_reserved_without_a_budget_so_a_killed_process_leaves_a_record(
    database: Database, ada: Caller
) -> None:
    budgets = Budgets(database, usage_settings())
    await budgets.hold(CALL, caller=ada)
    await expire_reservations(database)
    assert await standing(budgets, ada) == (Spending(Decimal(1)), None)
    assert [row.finish_reason for row in await read_rows(database)] == ["lost"]


async def test_where_an_unpriced_model_answers_instead_the_estimate_is_spent(budgets: Budgets, ada: Caller) -> None:
    hold = await budgets.hold(CALL, caller=ada)
    assert await budgets.settle(hold, used(10, "openai:other"), caller=ada) is None
    assert await standing(budgets, ada) == (Spending(Decimal(1)), Decimal(9))


async def test_without_the_database_nobody_spends(ada: Caller) -> None:
    nowhere = DatabaseSettings.model_validate({"url": "postgresql+asyncpg://app@127.0.0.1:1/app"})
    async with open_database(nowhere) as database:
        with pytest.raises(UnavailableError):
            await Budgets(database, usage_settings(10)).hold(CALL, caller=ada)
