"""Tests that a slow or silent receiver occupies the workers for one call and is then paused."""

import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select, update

from app.auth.caller import Caller
from app.bootstrap import Services
from app.event_publisher import Event
from app.jobs.models import Job, JobState
from app.settings import Settings
from app.webhooks import handlers
from app.webhooks.models import WebhookEndpoint
from tests.jobs.rows import KIND, read_job
from tests.webhooks.receiver import Receiver, serve_receiver


@pytest.fixture
def settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings under which a receiver soon counts as slow and then rests for minutes."""
    monkeypatch.setattr(handlers, "SLOW", 0.1)
    monkeypatch.setattr(handlers, "REST", 3000)
    return settings


@pytest.fixture
async def owner(services: Services) -> Caller:
    return await services.auth.ensure_account("ada@example.com")


async def tell(services: Services, owner: Caller) -> Sequence[UUID]:
    """Record an event and return the deliveries that are to start now."""
    async with services.ports.database.transaction() as session:
        return await services.webhooks.record(session, Event("job.succeeded", uuid4(), KIND), owner_id=owner.id)


async def read_deliveries(services: Services) -> list[Job]:
    async with services.ports.database.transaction() as session:
        return list(await session.scalars(select(Job).order_by(Job.created_at)))


async def end_rest(services: Services) -> None:
    async with services.ports.database.transaction() as session:
        await session.execute(update(WebhookEndpoint).values(rests_until=func.now()))
        await session.execute(update(Job).where(Job.state == JobState.QUEUED).values(run_after=func.now()))


async def test_after_a_call_that_took_long_all_that_waits_for_the_receiver_waits_longer_untried(
    services: Services, owner: Caller, receiver: Receiver
) -> None:
    receiver.seconds = 0.2
    await services.webhooks.create(receiver.url, ["job.succeeded"], caller=owner)
    told = [await tell(services, owner) for _ in range(3)]
    for [job_id] in told:
        await services.job_runner.run(job_id)
    assert await tell(services, owner) == []
    first, *others = await read_deliveries(services)
    assert (first.state, first.attempt, len(receiver.messages)) == (JobState.SUCCEEDED, 1, 1)
    assert [(each.state, each.attempt, each.enqueued_at) for each in others] == [(JobState.QUEUED, 0, None)] * 3
    assert all((each.run_after - first.created_at).total_seconds() > 100 for each in others)


async def test_the_delivery_that_failed_is_tried_again_when_it_would_have_been(
    services: Services, settings: Settings, owner: Caller, receiver: Receiver
) -> None:
    receiver.is_silent, settings.webhooks.timeout = True, 0.3
    await services.webhooks.create(receiver.url, ["job.succeeded"], caller=owner)
    [job_id] = await tell(services, owner)
    for _ in range(2):
        await services.job_runner.run(job_id)
    assert (await read_job(services.ports.database, job_id)).attempt == 2


async def test_a_receiver_that_is_well_after_its_rest_hears_of_everything(
    services: Services, settings: Settings, owner: Caller, receiver: Receiver
) -> None:
    receiver.is_silent, settings.webhooks.timeout = True, 0.3
    await services.webhooks.create(receiver.url, ["job.succeeded"], caller=owner)
    told = [await tell(services, owner) for _ in range(2)]
    for [job_id] in told:
        await services.job_runner.run(job_id)
    receiver.is_silent, settings.webhooks.timeout = False, 30
    await end_rest(services)
    for job in await read_deliveries(services):
        await services.job_runner.run(job.id)
    deliveries = await read_deliveries(services)
    assert [(each.state, each.attempt) for each in deliveries] == [(JobState.SUCCEEDED, 2), (JobState.SUCCEEDED, 1)]


async def test_other_receivers_of_the_same_owner_do_not_wait(
    services: Services, settings: Settings, owner: Caller, receiver: Receiver
) -> None:
    receiver.is_silent, settings.webhooks.timeout = True, 0.3
    await services.webhooks.create(receiver.url, ["job.succeeded"], caller=owner)
    for job_id in await tell(services, owner):
        await services.job_runner.run(job_id)
    settings.webhooks.timeout = 30
    async with serve_receiver() as other:
        await services.webhooks.create(other.url, ["job.succeeded"], caller=owner)
        [job_id] = await tell(services, owner)
        await services.job_runner.run(job_id)
        assert len(other.messages) == 1
    assert (await read_job(services.ports.database, job_id)).state == JobState.SUCCEEDED


@pytest.mark.parametrize("deleted", ["during the call", "after it"])
async def test_an_endpoint_that_is_deleted_and_made_anew_goes_on_resting(
    services: Services, owner: Caller, receiver: Receiver, deleted: str
) -> None:
    receiver.seconds = 1
    endpoint = await services.webhooks.create(receiver.url, ["job.succeeded"], caller=owner)
    [job_id] = await tell(services, owner)
    call = asyncio.create_task(services.job_runner.run(job_id))
    async with asyncio.timeout(30):
        while not receiver.messages:
            await asyncio.sleep(0.02)
    if deleted == "after it":
        await call
    await services.webhooks.delete(endpoint.id, caller=owner)
    await call
    anew = await services.webhooks.create(f"{receiver.url}/anew", ["job.succeeded"], caller=owner)
    assert anew.rests_until is not None
    assert await tell(services, owner) == []
    others = await services.auth.ensure_account("eve@example.com")
    assert (await services.webhooks.create(receiver.url, ["job.succeeded"], caller=others)).rests_until is None


async def test_what_was_deleted_long_ago_lets_nobody_rest(
    services: Services, owner: Caller, receiver: Receiver
) -> None:
    receiver.seconds = 0.2
    endpoint = await services.webhooks.create(receiver.url, ["job.succeeded"], caller=owner)
    [job_id] = await tell(services, owner)
    await services.job_runner.run(job_id)
    await end_rest(services)
    await services.webhooks.delete(endpoint.id, caller=owner)
    assert (await services.webhooks.create(receiver.url, ["job.succeeded"], caller=owner)).rests_until is None
