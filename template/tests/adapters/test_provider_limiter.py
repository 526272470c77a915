"""The contract of provider limiters: in one process, with Valkey, and during an outage of Valkey."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from app.adapters.provider_limiter import LocalProviderLimiter, ValkeyProviderLimiter, open_provider_limiter
from app.adapters.valkey import ValkeySettings, open_valkey
from app.chat.provider_limits import ProviderLimiter
from app.settings import Settings
from app.usage.quotas import Charge, Quota
from tests.adapters.valkey import dead_valkey, gated_valkey

REQUESTS = Quota("requests", 3)  # refills one every twenty seconds
TOKENS = Quota("tokens", 60)  # one every second
FAST = Quota("requests", 6000)  # one every hundredth of a second
ONE = Charge(REQUESTS, 1)


@pytest.fixture
def local() -> ProviderLimiter:
    return open_provider_limiter(ValkeySettings(), None)


@pytest.fixture
async def shared(settings: Settings) -> AsyncIterator[ProviderLimiter]:
    async with open_valkey(settings.valkey) as client:
        assert client is not None
        yield open_provider_limiter(settings.valkey, client)


@pytest.fixture
async def cut_off() -> AsyncIterator[ProviderLimiter]:
    with dead_valkey() as nowhere:
        async with open_valkey(nowhere) as client:
            yield open_provider_limiter(nowhere, client)


@pytest.fixture(params=["local", "shared", "cut_off"])
def limiter(request: pytest.FixtureRequest) -> ProviderLimiter:
    chosen: ProviderLimiter = request.getfixturevalue(request.param)
    return chosen


async def test_a_full_bucket_may_be_emptied_at_once_and_then_says_when_there_is_more(limiter: ProviderLimiter) -> None:
    turns = [await limiter.take("house", [ONE], 0) for _ in range(4)]
    assert [turn.is_granted for turn in turns] == [True, True, True, False]
    assert [turn.wait for turn in turns[:3]] == [0, 0, 0]
    assert 0 < turns[3].wait <= 20


async def test_providers_have_buckets_of_their_own(limiter: ProviderLimiter) -> None:
    assert (await limiter.take("house", [Charge(REQUESTS, 3)], 0)).is_granted
    assert (await limiter.take("cloud", [Charge(REQUESTS, 3)], 0)).is_granted


async def test_charges_are_taken_together_or_not_at_all(limiter: ProviderLimiter) -> None:
    await limiter.take("house", [Charge(TOKENS, 60)], 0)
    assert not (await limiter.take("house", [Charge(REQUESTS, 3), Charge(TOKENS, 60)], 0)).is_granted
    assert (await limiter.take("house", [Charge(REQUESTS, 3)], 0)).is_granted


async def test_those_who_wait_get_turns_one_after_the_other(limiter: ProviderLimiter) -> None:
    await limiter.take("house", [Charge(TOKENS, 60)], 0)
    first, second = [await limiter.take("house", [Charge(TOKENS, 20)], 60) for _ in range(2)]
    assert (first.is_granted, second.is_granted) == (True, True)
    assert 0 < first.wait <= 20 < second.wait <= 40
    assert not (await limiter.take("house", [Charge(TOKENS, 60)], 60)).is_granted


async def test_what_was_not_needed_is_there_again(limiter: ProviderLimiter) -> None:
    turn = await limiter.take("house", [Charge(TOKENS, 60)], 0)
    await limiter.settle("house", [Charge(TOKENS, -50)], turn)
    assert (await limiter.take("house", [Charge(TOKENS, 50)], 0)).is_granted
    assert not (await limiter.take("house", [Charge(TOKENS, 50)], 0)).is_granted


async def test_what_was_needed_beyond_is_owed_but_never_more_than_a_bucket(limiter: ProviderLimiter) -> None:
    turn = await limiter.take("house", [Charge(TOKENS, 1)], 0)
    await limiter.settle("house", [Charge(TOKENS, 100_000)], turn)
    owing = await limiter.take("house", [Charge(TOKENS, 1)], 0)
    assert not owing.is_granted
    assert 30 < owing.wait <= 61


async def test_a_bucket_never_holds_more_than_a_minute(limiter: ProviderLimiter) -> None:
    turn = await limiter.take("house", [Charge(TOKENS, 1)], 0)
    await limiter.settle("house", [Charge(TOKENS, -1000)], turn)
    assert (await limiter.take("house", [Charge(TOKENS, 60)], 0)).is_granted
    assert not (await limiter.take("house", [Charge(TOKENS, 50)], 0)).is_granted


async def test_what_flows_in_can_be_taken_again(limiter: ProviderLimiter) -> None:
    assert (await limiter.take("house", [Charge(FAST, 6000)], 0)).is_granted
    while not (await limiter.take("house", [Charge(FAST, 1)], 0)).is_granted:
        await asyncio.sleep(0.005)


async def test_those_who_come_at_the_same_moment_get_no_more(limiter: ProviderLimiter) -> None:
    turns = await asyncio.gather(*(limiter.take("house", [ONE], 0) for _ in range(60)))
    assert sum(turn.is_granted for turn in turns) == 3


async def test_a_limit_that_was_lowered_holds_at_once(limiter: ProviderLimiter) -> None:
    await limiter.take("house", [Charge(FAST, 1)], 0)
    turns = [await limiter.take("house", [ONE], 0) for _ in range(4)]
    assert [turn.is_granted for turn in turns] == [True, True, True, False]


async def test_the_processes_draw_from_the_same_buckets(settings: Settings) -> None:
    async with open_valkey(settings.valkey) as one, open_valkey(settings.valkey) as two:
        limiters = [open_provider_limiter(settings.valkey, client) for client in (one, two)]
        turns = await asyncio.gather(*(limiters[number % 2].take("house", [ONE], 0) for number in range(10)))
    assert sum(turn.is_granted for turn in turns) == 3


async def test_a_bucket_that_is_full_again_is_forgotten(settings: Settings) -> None:
    async with open_valkey(settings.valkey) as client:
        assert client is not None
        prefix = uuid4().hex
        limiter = ValkeyProviderLimiter(client, prefix)
        turn = await limiter.take("house", [Charge(FAST, 10)], 0)
        assert [key async for key in client.scan_iter(f"{prefix}:*")]
        await limiter.settle("house", [Charge(FAST, -10)], turn)
        while [key async for key in client.scan_iter(f"{prefix}:*")]:
            await asyncio.sleep(0.01)


async def test_the_clock_of_a_process_fills_its_buckets() -> None:
    now = 0.0
    limiter = LocalProviderLimiter(clock=lambda: now)
    assert (await limiter.take("house", [Charge(REQUESTS, 3)], 0)).is_granted
    assert await limiter.take("house", [ONE], 19) == await limiter.take("house", [ONE], 0)
    now = 20.0
    assert [(await limiter.take("house", [ONE], 0)).wait for _ in range(2)] == [0, 20]


async def test_an_outage_is_said_once_and_the_buckets_are_common_again_afterwards() -> None:
    async with gated_valkey() as (gate, settings), open_valkey(settings) as client:
        assert client is not None
        limiter = ValkeyProviderLimiter(client, uuid4().hex, outage_seconds=0.1)
        with capture_logs() as logs:
            assert not (await limiter.take("house", [ONE], 0)).alone
            gate.shut()
            alone = [await limiter.take("house", [ONE], 0) for _ in range(4)]
            assert [(turn.alone, turn.is_granted) for turn in alone] == [(True, turn < 3) for turn in range(4)]
            gate.is_open = True
            while (again := await limiter.take("house", [Charge(REQUESTS, 2)], 0)).alone:
                await asyncio.sleep(0.02)
        assert again.is_granted
        await limiter.settle("house", [Charge(REQUESTS, -3)], alone[0])
        assert not (await limiter.take("house", [ONE], 0)).is_granted
    assert [each["event"] for each in logs] == ["provider_limiter.unavailable", "provider_limiter.available"]
