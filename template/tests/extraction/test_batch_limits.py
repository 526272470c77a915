"""Which obstacles count as attempts of a batch job: temporary ones do not, persistent ones do in the end."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from app.adapters.circuit_breaker import CircuitBreakerSettings
from app.auth.caller import Caller
from app.bootstrap import Services
from app.jobs.models import Job
from app.settings import Settings
from app.usage.settings import LimitsSettings, UsageSettings
from tests.chat.fake_provider import Call, FakeProvider
from tests.extraction.test_batch import TEXTS, echo, number_of, read, states, submit
from tests.http import Person
from tests.jobs.rows import change_job, read_job

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def try_again(ada: Person, services: Services, job_id: UUID) -> Job:
    """Run a job at once, ignoring its backoff, and return its row."""
    await change_job(services.ports.database, job_id, {"run_after": LONG_AGO})
    await ada.run_jobs()
    return await read_job(services.ports.database, job_id)


def answer_only(number: int) -> Callable[[Call], str | int]:
    return lambda call: echo(call) if number_of(call) == number else 503


@pytest.fixture
def settings(settings: Settings, limits: LimitsSettings) -> Settings:
    """Settings with limits, a model with prices, and a circuit breaker that does not open."""
    usage = UsageSettings.model_validate({"prices": {"steady": {"input": 1000, "output": 1000}}})
    breaker = CircuitBreakerSettings(failures=1000)
    return settings.model_copy(update={"limits": limits, "usage": usage, "circuit_breaker": breaker})


@pytest.fixture
def limits() -> LimitsSettings:
    return LimitsSettings()


@pytest.mark.parametrize("limits", [LimitsSettings(requests_per_minute=2)])
async def test_a_quota_that_is_used_up_lets_the_rest_wait_for_it_and_uses_up_no_try(
    ada: Person, services: Services, provider: FakeProvider
) -> None:
    provider.answer = echo
    accepted = await submit(ada)
    job_id = UUID(accepted["job"]["id"])
    for _ in range(7):
        job = await try_again(ada, services, job_id)
        assert (job.state, job.attempt) == ("queued", 0)
        # The quota determines when a retry is worthwhile.
        assert job.run_after > datetime.now(UTC) + timedelta(seconds=5)
    assert states(await read(ada, accepted)).count("done") == 2


async def test_an_attempt_that_settles_something_is_not_counted(
    ada: Person, services: Services, provider: FakeProvider
) -> None:
    job_id = UUID((await submit(ada))["job"]["id"])
    for good in range(5):
        provider.answer = answer_only(good)
        job = await try_again(ada, services, job_id)
        assert (job.state, job.attempt, job.away_since) == ("queued", 0, None)


async def test_an_outage_in_the_middle_of_a_batch_uses_up_no_try(
    ada: Person, services: Services, provider: FakeProvider
) -> None:
    provider.answer = lambda call: 503 if number_of(call) else echo(call)
    job_id = UUID((await submit(ada))["job"]["id"])
    for _ in range(7):
        job = await try_again(ada, services, job_id)
        assert (job.state, job.attempt) == ("queued", 0)


async def test_a_text_that_is_too_much_for_the_model_fails_in_the_end(
    ada: Person, services: Services, provider: FakeProvider
) -> None:
    provider.answer = lambda call: 503 if number_of(call) == 3 else echo(call)
    accepted = await submit(ada)
    for _ in range(6):
        job = await try_again(ada, services, UUID(accepted["job"]["id"]))
    assert (job.state, job.attempt) == ("failed", 5)
    assert states(await read(ada, accepted)) == ["done"] * 3 + ["failed"] + ["done"] * 2


async def test_a_budget_that_is_used_up_uses_up_tries(ada: Person, services: Services, provider: FakeProvider) -> None:
    provider.answer = echo
    account = await services.auth.ensure_account(ada.email)
    await services.usage.budgets.set_budget(Decimal(0), caller=Caller(account.id))
    job_id = UUID((await submit(ada))["job"]["id"])
    for _ in range(5):
        job = await try_again(ada, services, job_id)
    assert (job.state, job.attempt) == ("failed", 5)


@pytest.mark.parametrize("model", ["cuts"])
async def test_a_connection_that_breaks_in_an_answer_does_not_fail_its_text(
    ada: Person, services: Services, provider: FakeProvider
) -> None:
    accepted = await submit(ada)
    job = await try_again(ada, services, UUID(accepted["job"]["id"]))
    assert (job.state, job.attempt) == ("queued", 0)
    assert states(await read(ada, accepted)) == ["waiting"] * len(TEXTS)
    assert provider.calls
